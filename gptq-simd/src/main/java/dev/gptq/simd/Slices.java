package dev.gptq.simd;

import dev.gptq.simd.Gemm.Part;

/**
 * The outer loops of a product m × k times k × n: slices of B, which are packed once for all
 * workers, and blocks of rows, which are the tasks.
 *
 * @param depth of a slice
 * @param width of a slice, in multiples of {@code columns}
 * @param block rows of a block
 * @param columns of a tile
 * @param chunk columns that are packed at a time
 */
record Slices(int m, int n, int k, int depth, int width, int block, int columns, int chunk) {
  private static final int TILES_OF_CHUNK = 8;

  /** Chunks of a worker, where there are enough columns: none waits long for another's. */
  private static final int CHUNKS = 2;

  /** Of a product in tiles of so many rows and columns. */
  static Slices of(Matrix c, int k, int rows, int columns, int workers, Part part) {
    int m = c.rows();
    int n = c.columns();
    int width = Gemm.slice(n, columns);
    int share = (width / columns + CHUNKS * workers - 1) / (CHUNKS * workers);
    return new Slices(
        m,
        n,
        k,
        Gemm.depth(k),
        width,
        Gemm.blockRows(m, rows, workers, part),
        columns,
        Math.clamp(share, 1, TILES_OF_CHUNK) * columns);
  }

  /** What is done with them, in rows k0 … k1 − 1 of B. */
  interface Work {
    /**
     * Packs columns.
     *
     * @param first the first column of the slice
     */
    void pack(int first, int from, int to, int k0, int k1, int worker);

    /** Multiplies a block of rows by columns that were packed. */
    void multiply(int r0, int r1, int first, int from, int to, int k0, int k1, int worker);
  }

  void run(WorkerPool pool, Work work) {
    for (int j = 0; j < n; j += width) {
      for (int p = 0; p < k; p += depth) {
        step(pool, work, j, Math.min(n, j + width), p, Math.min(k, p + depth));
      }
    }
  }

  private void step(WorkerPool pool, Work work, int j0, int j1, int k0, int k1) {
    int chunks = (j1 - j0 + chunk - 1) / chunk;
    pool.forEach(
        chunks,
        (i, worker) -> {
          int from = j0 + i * chunk;
          work.pack(j0, from, Math.min(j1, from + chunk), k0, k1, worker);
        });
    int blocks = (m + block - 1) / block;
    // Few rows leave workers idle unless they share the columns.
    int strips = Math.max(1, Math.min(pool.workers() / blocks, chunks));
    int strip = ((j1 - j0 + strips - 1) / strips + columns - 1) / columns * columns;
    pool.forEach(
        blocks * strips,
        (i, worker) -> {
          // The lowest blocks of a triangle are the longest: first come, best balanced.
          int r0 = (blocks - 1 - i / strips) * block;
          int r1 = Math.min(m, r0 + block);
          int from = j0 + i % strips * strip;
          int to = Math.min(j1, from + strip);
          if (r0 < r1 && from < to) {
            work.multiply(r0, r1, j0, from, to, k0, k1, worker);
          }
        });
  }
}
