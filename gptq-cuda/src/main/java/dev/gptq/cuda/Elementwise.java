package dev.gptq.cuda;

/** The grids of kernels that visit each element of a matrix with contiguous rows once. */
final class Elementwise {
  /** Threads of a block; ELEMENT_THREADS of elementwise.cuh. */
  static final int THREADS = 256;

  /** Columns of a block; ELEMENTS of elementwise.cuh. */
  static final int COLUMNS = 1024;

  private Elementwise() {}

  static Geometry over(CudaTensor t) {
    return Geometry.of(t.rows(), Math.ceilDiv(t.columns(), COLUMNS), THREADS);
  }

  /** One thread for each of {@code count} elements. */
  static Geometry over(int count) {
    return Geometry.of(Math.ceilDiv(count, THREADS), THREADS);
  }
}
