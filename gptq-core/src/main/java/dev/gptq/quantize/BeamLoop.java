package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * The column loop with a beam: each row keeps its M cheapest partial solutions. At each column
 * every path goes on with the nearest code and with the neighbour on the other side of the weight;
 * the cost of a path is {@code Σ e²/2}, which at the end is exactly its loss. Rounding to nearest
 * is the greedy path; a worse first step often leaves the rest of the row better off (Babai's
 * nearest plane against a search of the lattice). The grids of a group are those of the best path.
 *
 * <p>Blocks are applied to all columns to their right at once: paths change places between blocks,
 * and weights with pending updates could not follow.
 */
final class BeamLoop {
  private final Backend backend;
  private final Tensor u;
  private final ColumnLoop.Fits fits;
  private final Grid grid;
  private final int segment;
  private final int block;
  private final int paths;

  /** A loop that keeps two paths or more; one is what {@link ColumnLoop} does. */
  BeamLoop(
      Backend backend,
      Tensor u,
      ColumnLoop.Fits fits,
      Grid grid,
      int segment,
      int block,
      int paths) {
    this.backend = backend;
    this.u = u;
    this.fits = fits;
    this.grid = grid;
    this.segment = segment;
    this.block = Math.min(block, segment);
    this.paths = paths;
  }

  /** A block's codes, and where each path's row was before the block. */
  private record Step(int from, Tensor codes, Tensor source) {}

  /**
   * Quantizes w, m × n, and leaves it as it is.
   *
   * @param codes out: the codes of the best paths
   * @return the losses of the rows, m × 1, in {@code scope}
   */
  Tensor run(Tensor w, Tensor codes, TensorScope scope) {
    int m = w.rows();
    int n = w.columns();
    try (TensorScope local = backend.newScope()) {
      Tensor weights = local.columnMajor(DType.F32, paths * m, n);
      Tensor spare = local.columnMajor(DType.F32, paths * m, n);
      for (int p = 0; p < paths; p++) {
        backend.linalg().convert(w, weights.rows(p * m, (p + 1) * m));
      }
      Tensor cost = scope.columnMajor(DType.F32, m, paths);
      // At the start there is one path a row.
      backend.linalg().convert(local.filled(0, m, 1), cost.columns(0, 1));
      backend
          .linalg()
          .convert(local.filled(Float.POSITIVE_INFINITY, m, paths - 1), cost.columns(1, paths));
      List<Step> steps = new ArrayList<>();
      for (int from = 0, to; from < n; from = to) {
        to = Math.min(from + block, (from / segment + 1) * segment);
        if (from % segment == 0) {
          fits.fit(weights.rows(0, m), from);
        }
        Tensor errors = weights.columns(from, to);
        Step step =
            new Step(
                from,
                local.columnMajor(DType.U8, paths * m, to - from),
                local.rowMajor(DType.I32, 1, paths * m));
        backend
            .quantization()
            .beamBlock(
                errors,
                cost,
                u.rows(from, to).columns(from, to),
                grid.columns(from, to),
                step.codes(),
                step.source());
        steps.add(step);
        if (to < n) {
          Tensor rest = spare.columns(to, n);
          gatherRows(weights.columns(to, n), step.source(), rest);
          backend.linalg().gemm(-1, errors, u.rows(from, to).columns(to, n), 1, rest);
          Tensor swap = weights;
          weights = spare;
          spare = swap;
        }
      }
      trace(steps, m, codes, local);
      return cost.columns(0, 1);
    }
  }

  /** Follows the best path of each row back through the blocks. */
  private void trace(List<Step> steps, int m, Tensor codes, TensorScope scope) {
    int[] row = new int[m];
    Arrays.setAll(row, r -> r);
    Collections.reverse(steps);
    for (Step step : steps) {
      int to = step.from() + step.codes().columns();
      gatherRows(step.codes(), scope.upload(row), codes.columns(step.from(), to));
      int[] source = HostCopies.ints(step.source());
      row = Arrays.stream(row).map(r -> source[r]).toArray();
    }
  }

  private void gatherRows(Tensor from, Tensor rows, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), rows, to.transposed());
  }
}
