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
 * <p>As in {@link PanelLoop} a block begins with {@code ŵ_J = w_J + D_{<J}·V_{<J,J}·U_JJ}; D is
 * that of each path, and follows it when paths change places after a block.
 */
final class BeamLoop {
  private final Backend backend;
  private final Tensor v;
  private final ColumnLoop.Fits fits;
  private final Grid grid;
  private final int segment;
  private final int block;
  private final int unit;
  private final int paths;

  /** A loop that keeps two paths or more; one is what {@link PanelLoop} does. */
  BeamLoop(
      Backend backend,
      Tensor v,
      ColumnLoop.Fits fits,
      Grid grid,
      int segment,
      int block,
      int paths) {
    this.backend = backend;
    this.v = v;
    this.fits = fits;
    this.grid = grid;
    this.segment = segment;
    this.block = Math.min(block, segment);
    this.unit = Math.min(v.rows(), PanelLoop.unit(segment, block));
    this.paths = paths;
  }

  /** A block's codes, and where each path's row was before the block. */
  private record Stage(int from, Tensor codes, Tensor source) {}

  /**
   * What the paths of a row share, once for each of them.
   *
   * @param rows I32, 1 × paths·m: the row of each path
   * @param grid the grids, of each path's row
   */
  private record Shared(Tensor rows, Grid grid) {}

  /** A matrix whose rows change places, and room for them to do so. */
  private static final class Rows {
    private Tensor now;
    private Tensor spare;

    Rows(TensorScope scope, int rows, int columns) {
      this.now = scope.columnMajor(DType.F32, rows, columns);
      this.spare = scope.columnMajor(DType.F32, rows, columns);
    }

    void swap() {
      Tensor swapped = now;
      now = spare;
      spare = swapped;
    }
  }

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
      Tensor u = local.rowMajor(DType.F32, n, unit);
      backend.linalg().invertDiagonalBlocks(v, u);
      Tensor cost = scope.columnMajor(DType.F32, m, paths);
      // At the start there is one path a row.
      backend.linalg().convert(local.filled(0, m, 1), cost.columns(0, 1));
      backend
          .linalg()
          .convert(local.filled(Float.POSITIVE_INFINITY, m, paths - 1), cost.columns(1, paths));
      Shared shared = shared(m, local);
      Rows differences = new Rows(local, paths * m, n);
      Rows weights = new Rows(local, paths * m, unit);
      List<Stage> stages = new ArrayList<>();
      for (int from = 0; from < n; from += unit) {
        int to = Math.min(from + unit, n);
        begin(w, shared, u.rows(from, to), differences.now, weights.now, from);
        for (int at = from; at < to; ) {
          int end = Math.min(to, Math.min(at + block, (at / segment + 1) * segment));
          if (at % segment == 0) {
            fit(weights.now.rows(0, m).columns(at - from, to - from), at, shared);
          }
          Stage stage = stage(weights, cost, u.rows(from, to), from, at, end, local);
          follow(w, shared, differences, stage, end);
          stages.add(stage);
          at = end;
        }
      }
      trace(stages, m, codes, local);
      return cost.columns(0, 1);
    }
  }

  private Shared shared(int m, TensorScope scope) {
    int[] rows = new int[paths * m];
    Arrays.setAll(rows, r -> r % m);
    Tensor scale = scope.columnMajor(DType.F32, rows.length, grid.groups());
    Tensor zero = scope.columnMajor(DType.F32, rows.length, grid.groups());
    return new Shared(scope.upload(rows), new Grid(grid.spec(), scale, zero, grid.groupOf()));
  }

  /** The weights of the unit that begins at a column, for each path. */
  private void begin(
      Tensor w, Shared shared, Tensor own, Tensor differences, Tensor weights, int from) {
    int to = from + own.rows();
    Tensor current = weights.columns(0, to - from);
    gatherRows(w.columns(from, to), shared.rows(), current);
    if (from > 0) {
      try (TensorScope local = backend.newScope()) {
        Tensor known = local.columnMajor(DType.F32, current.rows(), to - from);
        Tensor left = differences.columns(0, from);
        backend.linalg().gemm(1, left, v.rows(0, from).columns(from, to), 0, known);
        backend.linalg().gemm(1, known, own.columns(0, to - from), 1, current);
      }
    }
  }

  /** Fits the grids of the segment that begins at a column to the weights of the best path. */
  private void fit(Tensor best, int at, Shared shared) {
    fits.fit(best.columns(0, Math.min(segment, best.columns())), at);
    gatherRows(grid.scale(), shared.rows(), shared.grid().scale());
    gatherRows(grid.zero(), shared.rows(), shared.grid().zero());
  }

  /** Quantizes columns {@code at} to {@code end} of the unit that begins at {@code from}. */
  private Stage stage(
      Rows weights, Tensor cost, Tensor own, int from, int at, int end, TensorScope scope) {
    int rows = weights.now.rows();
    int width = own.rows();
    Tensor errors = weights.now.columns(at - from, end - from);
    Tensor factors = own.rows(at - from, end - from);
    Stage stage =
        new Stage(
            at, scope.columnMajor(DType.U8, rows, end - at), scope.rowMajor(DType.I32, 1, rows));
    backend
        .quantization()
        .beamBlock(
            errors,
            cost,
            factors.columns(at - from, end - from),
            grid.columns(at, end),
            stage.codes(),
            stage.source());
    if (end - from < width) {
      Tensor rest = weights.spare.columns(end - from, width);
      gatherRows(weights.now.columns(end - from, width), stage.source(), rest);
      backend.linalg().gemm(-1, errors, factors.columns(end - from, width), 1, rest);
      weights.swap();
    }
    return stage;
  }

  /** Lets D follow the paths of a stage, and adds the stage's columns to it. */
  private void follow(Tensor w, Shared shared, Rows differences, Stage stage, int end) {
    int from = stage.from();
    if (end == w.columns()) {
      return;
    }
    if (from > 0) {
      Tensor done = differences.spare.columns(0, from);
      gatherRows(differences.now.columns(0, from), stage.source(), done);
      differences.swap();
    }
    Tensor difference = differences.now.columns(from, end);
    gatherRows(w.columns(from, end), shared.rows(), difference);
    try (TensorScope local = backend.newScope()) {
      Tensor q = local.columnMajor(DType.F32, difference.rows(), end - from);
      Grid grids = shared.grid().columns(from, end);
      backend.quantization().dequantize(stage.codes(), grids, q);
      backend.linalg().axpy(-1, q, difference);
    }
  }

  /** Follows the best path of each row back through the blocks. */
  private void trace(List<Stage> stages, int m, Tensor codes, TensorScope scope) {
    int[] row = new int[m];
    Arrays.setAll(row, r -> r);
    Collections.reverse(stages);
    for (Stage stage : stages) {
      int to = stage.from() + stage.codes().columns();
      gatherRows(stage.codes(), scope.upload(row), codes.columns(stage.from(), to));
      int[] source = HostCopies.ints(stage.source());
      row = Arrays.stream(row).map(r -> source[r]).toArray();
    }
  }

  private void gatherRows(Tensor from, Tensor rows, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), rows, to.transposed());
  }
}
