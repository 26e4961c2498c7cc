package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;

/**
 * The column loop of the paper over columns whose U is at hand, in the order of quantization.
 * Updates are lazy, as in section 3.3 of the paper, but by halves instead of by blocks: to quantize
 * a range of columns, quantize its left half, apply all its errors to the right half in one matrix
 * product, and quantize that. Errors need no room of their own: each replaces the weight it came
 * from. Every group begins a half, so that its grid is fitted to weights that have all earlier
 * errors in them.
 *
 * @param w in: the weights; afterwards their scaled errors e
 * @param u U of these columns, rows contiguous
 * @param first the first of these columns in the whole matrix
 * @param fits fits the grids that begin at a column, when it is reached
 * @param grid the grids of these columns
 * @param codes the result
 * @param segment columns whose grids are fitted together
 * @param block the most columns that are quantized at once
 */
record ColumnLoop(
    Backend backend,
    Tensor w,
    Tensor u,
    int first,
    Fits fits,
    Grid grid,
    Tensor codes,
    int segment,
    int block) {

  /** Fits grids when the loop reaches their columns. */
  @FunctionalInterface
  interface Fits {
    /** All grids are known beforehand. */
    Fits NONE = (w, column) -> {};

    /** Fits the grids of the segment that begins at a column of the whole matrix to w. */
    void fit(Tensor w, int column);
  }

  void run() {
    quantize(0, w.columns());
  }

  private void quantize(int from, int to) {
    int most = Math.min(block, segment);
    if (to - from <= most) {
      if (from % segment == 0) {
        fits.fit(w.columns(from, Math.min(from + segment, w.columns())), first + from);
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
    int middle = middle(from, to, to - from > segment ? segment : most);
    quantize(from, middle);
    Tensor errors = w.columns(from, middle);
    backend
        .linalg()
        .gemm(-1, errors, u.rows(from, middle).columns(middle, to), 1, w.columns(middle, to));
    quantize(middle, to);
  }

  /** Where a range is cut in two: between units, near its middle. */
  static int middle(int from, int to, int unit) {
    return from + (Math.ceilDiv(to - from, unit) + 1) / 2 * unit;
  }
}
