package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

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
  private record Stage(int from, Tensor codes, Tensor source) {
    int to() {
      return from + codes.columns();
    }
  }

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
      int[] begins = IntStream.iterate(0, at -> at < n, this::end).toArray();
      Tensor sources = local.rowMajor(DType.I32, begins.length, paths * m);
      List<Stage> stages = new ArrayList<>();
      for (int at : begins) {
        int from = at / unit * unit;
        int to = Math.min(from + unit, n);
        if (at == from) {
          begin(w, shared, u.rows(from, to), differences.now, weights.now, from);
        }
        if (at % segment == 0) {
          fit(weights.now.rows(0, m).columns(at - from, to - from), at, shared);
        }
        int end = end(at);
        Stage stage =
            new Stage(
                at,
                local.columnMajor(DType.U8, paths * m, end - at),
                sources.rows(stages.size(), stages.size() + 1));
        stages.add(stage);
        choose(weights, cost, u.rows(from, to), from, stage);
        follow(w, shared, differences, stage);
      }
      trace(stages, HostCopies.ints(sources), m, codes, local);
      return cost.columns(0, 1);
    }
  }

  /** The end of the stage that begins at a column. */
  private int end(int at) {
    int most = Math.min(v.rows(), (at / unit + 1) * unit);
    return Math.min(most, Math.min(at + block, (at / segment + 1) * segment));
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

  /** Quantizes the columns of a stage, which are of the unit that begins at {@code from}. */
  private void choose(Rows weights, Tensor cost, Tensor own, int from, Stage stage) {
    int at = stage.from();
    int end = stage.to();
    int width = own.rows();
    Tensor errors = weights.now.columns(at - from, end - from);
    Tensor factors = own.rows(at - from, end - from);
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
  }

  /** Lets D follow the paths of a stage, and adds the stage's columns to it. */
  private void follow(Tensor w, Shared shared, Rows differences, Stage stage) {
    int end = stage.to();
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

  /**
   * Follows the best path of each row back through the blocks.
   *
   * @param sources of all stages, so that the device is waited for once
   */
  private void trace(List<Stage> stages, int[] sources, int m, Tensor codes, TensorScope scope) {
    int[] row = new int[m];
    Arrays.setAll(row, r -> r);
    for (int s = stages.size() - 1; s >= 0; s--) {
      Stage stage = stages.get(s);
      gatherRows(stage.codes(), scope.upload(row), codes.columns(stage.from(), stage.to()));
      int first = s * paths * m;
      for (int r = 0; r < m; r++) {
        row[r] = sources[first + row[r]];
      }
    }
  }

  private void gatherRows(Tensor from, Tensor rows, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), rows, to.transposed());
  }
}
