package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * GPTQ with one Cholesky factor and no inverse: the loop of {@link Gptq} over all columns, which
 * are in the order of quantization. To the left of a block J the result D is known, so that {@code
 * T_J = D_{<J}·V_{<J,J}} is; the block begins with the weights {@code ŵ_J = w_J + T_J·U_JJ}, and
 * goes on as the paper has it ({@link ColumnLoop}) with {@code U_JJ = V_JJ⁻¹}. T is gathered as
 * products become large: for a panel of columns all that lies left of it, inside the panel by
 * halves.
 *
 * @param w in: the weights; afterwards {@code D = W − Q}
 * @param v V of these columns
 * @param fits fits the grids that begin at a column, when it is reached
 * @param grid the grids of these columns
 * @param codes the result
 * @param segment columns whose grids are fitted together
 * @param block the most columns that are quantized at once
 */
record PanelLoop(
    Backend backend,
    Tensor w,
    Tensor v,
    ColumnLoop.Fits fits,
    Grid grid,
    Tensor codes,
    int segment,
    int block) {
  /** Columns of a panel: its products are as fast as larger ones. */
  static final int PANEL = 1024;

  /** Columns of a block J: segments as far as they fit, but at least one. */
  static int unit(int segment, int block) {
    return Math.max(segment, block - block % segment);
  }

  /** What a panel holds while it is quantized. */
  private record Panel(int from, Tensor known, Tensor current) {}

  /** Quantizes; losses is m × 1 and gets {@code ‖d·V‖²} of each row d of D, twice its loss. */
  void run(Tensor losses) {
    int n = w.columns();
    int unit = Math.min(n, unit(segment, block));
    int width = Math.min(n, Math.max(unit, PANEL - PANEL % unit));
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor u = local.rowMajor(DType.F32, n, unit);
      la.invertDiagonalBlocks(v, u);
      Tensor known = local.columnMajor(DType.F32, w.rows(), width);
      Tensor current = local.columnMajor(DType.F32, w.rows(), width);
      Tensor part = local.columnMajor(DType.F32, w.rows(), 1);
      for (int from = 0; from < n; from += width) {
        int to = Math.min(from + width, n);
        Panel panel = new Panel(from, known.columns(0, to - from), current.columns(0, to - from));
        if (from > 0) {
          la.gemm(1, w.columns(0, from), v.rows(0, from).columns(from, to), 0, panel.known());
        }
        la.convert(w.columns(from, to), panel.current());
        quantize(panel, u, from, to);
        la.rowDots(panel.current(), panel.current(), from == 0 ? losses : part);
        if (from > 0) {
          la.axpy(1, part, losses);
        }
      }
    }
  }

  private void quantize(Panel panel, Tensor u, int from, int to) {
    if (to - from <= u.columns()) {
      block(panel, u, from, to);
      return;
    }
    int middle = ColumnLoop.middle(from, to, u.columns());
    quantize(panel, u, from, middle);
    Tensor known = panel.known().columns(middle - panel.from(), to - panel.from());
    // Nothing is known left of the first column: these products are the first of their columns.
    float beta = from == 0 ? 0 : 1;
    backend
        .linalg()
        .gemm(1, w.columns(from, middle), v.rows(from, middle).columns(middle, to), beta, known);
    quantize(panel, u, middle, to);
  }

  private void block(Panel panel, Tensor u, int from, int to) {
    LinearAlgebra la = backend.linalg();
    Tensor own = u.rows(from, to).columns(0, to - from);
    Tensor current = panel.current().columns(from - panel.from(), to - panel.from());
    if (from > 0) {
      la.gemm(1, panel.known().columns(from - panel.from(), to - panel.from()), own, 1, current);
    }
    Grid grids = grid.columns(from, to);
    Tensor result = codes.columns(from, to);
    new ColumnLoop(backend, current, own, from, fits, grids, result, segment, block).run();
    Tensor left = w.columns(from, to);
    backend.quantization().subtract(left, result, grids, left);
  }
}
