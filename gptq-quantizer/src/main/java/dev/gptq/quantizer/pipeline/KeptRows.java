package dev.gptq.quantizer.pipeline;

import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** A matrix that is kept in a file so that a run can go on from it, and filled in again. */
public interface KeptRows {
  /** The type of its numbers. */
  DType type();

  /** Number of rows. */
  int rows();

  /** Number of columns. */
  int columns();

  /** Bytes of all of it. */
  default long byteSize() {
    return (long) rows() * columns() * type().bytes();
  }

  /** Copies rows {@code from} to {@code to} densely to the host. */
  void copyTo(int from, int to, MemorySegment host);

  /** Takes rows {@code from} to {@code to} from the host. */
  void fill(int from, int to, MemorySegment host);
}
