package dev.gptq.quantizer.gguf;

import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.gguf.LatentHalves;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.IntUnaryOperator;

/** Matrices of a checkpoint with rows and columns where a GGUF file has them. */
final class FileMatrices {
  private FileMatrices() {}

  /** What makes keys of a latent, of each head latent × channels, as float16. */
  static MemorySegment keys(LatentHalves halves, int latent, PackedMatrix matrix) {
    MemorySegment keys =
        Arena.ofAuto().allocate((long) Short.BYTES * halves.heads() * latent * halves.still(), 8);
    long at = 0;
    for (int head = 0; head < halves.heads(); head++) {
      for (int column = 0; column < latent; column++) {
        for (int channel = 0; channel < halves.still(); channel++) {
          float weight = matrix.weight(halves.keyRow(head, channel), column);
          Elements.put(keys, StoredType.F16, at++, weight);
        }
      }
    }
    return keys;
  }

  /** The same of numbers, which keep their type. */
  static MemorySegment keys(LatentHalves halves, int latent, StoredTensor stored) {
    MemorySegment source = stored.data();
    long bytes = source.byteSize() / stored.elements();
    MemorySegment keys =
        Arena.ofAuto().allocate(bytes * halves.heads() * latent * halves.still(), 8);
    long at = 0;
    for (int head = 0; head < halves.heads(); head++) {
      for (int column = 0; column < latent; column++) {
        for (int channel = 0; channel < halves.still(); channel++) {
          long from = (long) halves.keyRow(head, channel) * latent + column;
          MemorySegment.copy(source, from * bytes, keys, at * bytes, bytes);
          at++;
        }
      }
    }
    return keys;
  }

  /** So many rows, each taken from another place. */
  static MemorySegment rows(StoredTensor stored, int count, IntUnaryOperator order) {
    MemorySegment source = stored.data();
    long bytes = source.byteSize() / stored.rows();
    MemorySegment rows = Arena.ofAuto().allocate(bytes * count, 8);
    for (int row = 0; row < count; row++) {
      MemorySegment.copy(source, order.applyAsInt(row) * bytes, rows, row * bytes, bytes);
    }
    return rows;
  }

  /** The columns of a matrix as rows. */
  static MemorySegment columns(StoredTensor stored, IntUnaryOperator order) {
    MemorySegment source = stored.data();
    int rows = stored.rows();
    int columns = stored.columns();
    long bytes = source.byteSize() / rows / columns;
    MemorySegment turned = Arena.ofAuto().allocate(source.byteSize(), 8);
    for (int column = 0; column < columns; column++) {
      int from = order.applyAsInt(column);
      for (int row = 0; row < rows; row++) {
        MemorySegment.copy(
            source,
            ((long) row * columns + from) * bytes,
            turned,
            ((long) column * rows + row) * bytes,
            bytes);
      }
    }
    return turned;
  }
}
