package dev.gptq.nativekernels;

import dev.gptq.simd.kernels.ForwardKernels;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** The forward pass in C, of one level. */
final class NativeForward implements ForwardKernels {
  private static final Rows NONE = new Rows(MemorySegment.NULL, 0);

  // The operations of forward.h.
  private static final int RMS_NORM = 0;
  private static final int ROTATE_HALVES = 1;
  private static final int ROTATE_ADJACENT = 2;
  private static final int GATE_SILU = 3;
  private static final int GATE_GELU_TANH = 4;
  private static final int ADD = 5;
  private static final int PRODUCTS = 6;
  private static final int ATTENTION = 7;
  private static final int ATTENTION_BF16 = 8;
  private static final int NARROW = 9;
  private static final int TRANSPOSE = 10;

  private final KernelLibrary library;
  private final int level;

  NativeForward(KernelLibrary library, int level) {
    this.library = library;
    this.level = level;
  }

  @Override
  public void rmsNorm(Rows x, Rows gain, int size, float epsilon, Rows y, Shape shape) {
    require(x, shape.rows(), shape.columns());
    require(gain, 1, size);
    require(y, shape.rows(), shape.columns());
    library.forward(level, RMS_NORM, x, gain, NONE, y, shape, size, 0, 0, 0, epsilon);
  }

  @Override
  public void rotate(
      Rows x,
      int headSize,
      boolean adjacent,
      Rows cosine,
      Rows sine,
      int pairs,
      int first,
      int length,
      Shape shape) {
    int positions = first + Math.min(length, shape.rows());
    require(x, shape.rows(), shape.columns());
    require(cosine, positions, pairs);
    require(sine, positions, pairs);
    int operation = adjacent ? ROTATE_ADJACENT : ROTATE_HALVES;
    library.forward(
        level, operation, cosine, sine, NONE, x, shape, headSize, pairs, first, length, 0);
  }

  @Override
  public void gate(Gate f, Rows gate, Rows up, Rows y, Shape shape) {
    require(gate, shape.rows(), shape.columns());
    require(up, shape.rows(), shape.columns());
    require(y, shape.rows(), shape.columns());
    int operation = f == Gate.SILU ? GATE_SILU : GATE_GELU_TANH;
    library.forward(level, operation, gate, up, NONE, y, shape, 0, 0, 0, 0, 0);
  }

  @Override
  public void add(Rows x, Rows y, Shape shape) {
    require(x, shape.rows(), shape.columns());
    require(y, shape.rows(), shape.columns());
    library.forward(level, ADD, x, NONE, NONE, y, shape, 0, 0, 0, 0, 0);
  }

  @Override
  public void narrow(Rows x, Rows y, Shape shape) {
    require(x, shape.rows(), shape.columns());
    NativeKernels.require(DType.BF16, y, shape.rows(), shape.columns());
    library.forward(level, NARROW, x, NONE, NONE, y, shape, 0, 0, 0, 0, 0);
  }

  @Override
  public void transpose(Rows x, Rows y, Shape shape) {
    require(x, shape.rows(), shape.columns());
    require(y, shape.columns(), shape.rows());
    library.forward(level, TRANSPOSE, x, NONE, NONE, y, shape, 0, 0, 0, 0, 0);
  }

  @Override
  public void products(float alpha, Rows x, Rows w, int depth, Rows y, Shape shape) {
    require(x, shape.rows(), depth);
    require(w, shape.columns(), depth);
    require(y, shape.rows(), shape.columns());
    library.forward(level, PRODUCTS, x, w, NONE, y, shape, depth, 0, 0, 0, alpha);
  }

  @Override
  public void attention(
      DType kept,
      int heads,
      Rows q,
      Rows k,
      Rows v,
      float scale,
      int first,
      int step,
      int window,
      Rows y,
      Shape shape) {
    int queries = heads * shape.rows();
    if (queries > QUERIES || shape.columns() > CHANNELS) {
      throw new IllegalArgumentException(
          "too many queries or channels: " + heads + " heads of " + shape);
    }
    int keys = first + (shape.rows() - 1) * step + 1;
    require(q, queries, shape.columns());
    NativeKernels.require(kept, k, keys, (long) heads * shape.columns());
    NativeKernels.require(kept, v, keys, (long) heads * shape.columns());
    require(y, queries, shape.columns());
    int operation =
        switch (kept) {
          case F32 -> ATTENTION;
          case BF16 -> ATTENTION_BF16;
          default -> throw new IllegalArgumentException("no attention to keys of " + kept);
        };
    library.forward(level, operation, q, k, v, y, shape, heads, window, first, step, scale);
  }

  private static void require(Rows rows, long count, long columns) {
    NativeKernels.require(DType.F32, rows, count, columns);
  }
}
