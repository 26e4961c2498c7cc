package dev.gptq.cuda;

/** The grids of kernels that visit each element of a matrix with contiguous rows once. */
final class Elementwise {
  /** Threads of a block; ELEMENT_THREADS of elementwise.cuh. */
  static final int THREADS = 256;

  /** Columns of a block; ELEMENTS of elementwise.cuh. */
  static final int COLUMNS = 1024;

  /** Rows and columns of a block, and its threads each way, in convert.cu and gather.cu. */
  private static final int RUN_ROWS = 64;

  private static final int RUN_COLUMNS = 128;
  private static final int RUN_LANES = 16;

  private Elementwise() {}

  static Geometry over(CudaTensor t) {
    return Geometry.of(t.rows(), Math.ceilDiv(t.columns(), COLUMNS), THREADS);
  }

  /** Runs of eight neighbours, of four rows a thread. */
  static Geometry overRuns(CudaTensor t) {
    int rows = Math.ceilDiv(t.rows(), RUN_ROWS);
    return Geometry.of(rows, Math.ceilDiv(t.columns(), RUN_COLUMNS), RUN_LANES)
        .withBlockY(RUN_LANES);
  }

  /** One thread for each of {@code count} elements. */
  static Geometry over(int count) {
    return Geometry.of(Math.ceilDiv(count, THREADS), THREADS);
  }
}
