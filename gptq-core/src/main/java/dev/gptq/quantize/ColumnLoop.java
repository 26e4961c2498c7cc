package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;

/**
 * The recursion of {@link Gptq} over ranges of columns, which are in the order of quantization.
 *
 * @param w in: the weights; afterwards their scaled errors e
 * @param u the factor of these columns
 * @param fits fits the grids that begin at a column, when it is reached
 * @param grid the grids of these columns
 * @param codes the result
 * @param segment columns whose grids are fitted together
 * @param block the most columns that are quantized at once; divides the segment or is a multiple
 */
record ColumnLoop(
    Backend backend,
    Tensor w,
    Tensor u,
    Fits fits,
    Grid grid,
    Tensor codes,
    int segment,
    int block) {

  /** Fits the grids of the segment of w that begins at a column. */
  @FunctionalInterface
  interface Fits {
    /** All grids are known beforehand. */
    Fits NONE = (w, from) -> {};

    void fit(Tensor w, int from);
  }

  void run() {
    quantize(0, w.columns());
  }

  private void quantize(int from, int to) {
    int most = Math.min(block, segment);
    if (to - from <= most) {
      if (from % segment == 0) {
        fits.fit(w, from);
      }
      backend
          .quantization()
          .quantizeBlock(
              w.columns(from, to),
              u.rows(from, to).columns(from, to),
              grid.columns(from, to),
              codes.columns(from, to));
      return;
    }
    int unit = to - from > segment ? segment : most;
    int middle = from + (Math.ceilDiv(to - from, unit) + 1) / 2 * unit;
    quantize(from, middle);
    Tensor errors = w.columns(from, middle);
    backend
        .linalg()
        .gemm(-1, errors, u.rows(from, middle).columns(middle, to), 1, w.columns(middle, to));
    quantize(middle, to);
  }
}
