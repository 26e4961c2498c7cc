package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;

/**
 * The column loop with a beam: each row keeps its M cheapest partial solutions. At each column
 * every path goes on with the nearest code and with the neighbour on the other side of the weight;
 * the cost of a path is {@code Σ e²/2}, which at the end is exactly its loss. Rounding to nearest
 * is the greedy path; a worse first step often leaves the rest of the row better off (Babai's
 * nearest plane against a search of the lattice). The grids of a group are those of the best path.
 *
 * <p>Columns go in units, as the blocks of {@link PanelLoop}. After a unit those paths of a row are
 * given up that do not come from where the best one does: they cost as much as keeping all of what
 * came before once for each path, and are worth little. So what came before the unit is decided,
 * and known once for all paths of a row: with D that of the decided columns and E that of each path
 * in the unit before, which is not, a unit begins with
 *
 * <pre>
 *   ŵ_J = w_J + D·V_{decided,J}·U_JJ + E·V_{before,J}·U_JJ
 * </pre>
 */
final class BeamLoop {
  private final Backend backend;
  private final Tensor v;
  private final ColumnLoop.Fits fits;
  private final Grid grid;
  private final int segment;
  private final int block;
  private final int unit;
  private final int panel;
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
    this.panel = Math.max(unit, PanelLoop.PANEL - PanelLoop.PANEL % unit);
    this.paths = paths;
  }

  /**
   * Quantizes w, m × n, and leaves it as it is.
   *
   * @param codes out: the codes of the best paths
   * @return the losses of the rows, m × 1, in {@code scope}
   */
  Tensor run(Tensor w, Tensor codes, TensorScope scope) {
    int m = w.rows();
    Tensor cost = scope.columnMajor(DType.F32, m, paths);
    try (TensorScope local = backend.newScope()) {
      // At the start there is one path a row.
      backend.linalg().convert(local.filled(0, m, 1), cost.columns(0, 1));
      backend
          .linalg()
          .convert(local.filled(Float.POSITIVE_INFINITY, m, paths - 1), cost.columns(1, paths));
      new Run(w, codes, cost, local).run();
    }
    return cost.columns(0, 1);
  }

  /** A matrix whose rows change places, and room for them to do so. */
  private static final class Rows {
    private Tensor now;
    private Tensor spare;

    Rows(TensorScope scope, DType type, int rows, int columns) {
      this.now = scope.columnMajor(type, rows, columns);
      this.spare = scope.columnMajor(type, rows, columns);
    }

    void swap() {
      Tensor swapped = now;
      now = spare;
      spare = swapped;
    }
  }

  /** A matrix while it is quantized. */
  private final class Run {
    private final LinearAlgebra la = backend.linalg();
    private final Tensor w;
    private final Tensor codes;
    private final Tensor cost;
    private final int m;
    private final int n;

    /** The inverses of the diagonal blocks of units. */
    private final Tensor u;

    /** I32, 1 × paths·m: the row of each path. */
    private final Tensor row;

    /** The grids of each path's row. */
    private final Grid shared;

    /** D of decided columns, m × n. */
    private final Tensor difference;

    /** D·V of a panel's columns. */
    private final Tensor known;

    /** The weights of a unit, paths·m × unit; once its columns are done, their errors. */
    private final Rows weights;

    /** E, paths·m × unit. */
    private final Tensor recent;

    /** Codes of a unit, paths·m × unit. */
    private final Rows chosen;

    /** Codes of the unit before. */
    private Tensor before;

    Run(Tensor w, Tensor codes, Tensor cost, TensorScope scope) {
      this.w = w;
      this.codes = codes;
      this.cost = cost;
      this.m = w.rows();
      this.n = w.columns();
      this.u = scope.rowMajor(DType.F32, n, unit);
      int[] rows = new int[paths * m];
      Arrays.setAll(rows, r -> r % m);
      this.row = scope.upload(rows);
      this.shared =
          new Grid(
              grid.spec(),
              scope.columnMajor(DType.F32, rows.length, grid.groups()),
              scope.columnMajor(DType.F32, rows.length, grid.groups()),
              grid.groupOf());
      this.difference = scope.columnMajor(DType.F32, m, n);
      // Nothing is decided when the first two units begin.
      this.known = scope.zeros(DType.F32, m, Math.min(n, panel), Layout.COLUMN_MAJOR);
      this.weights = new Rows(scope, DType.F32, rows.length, unit);
      this.recent = scope.columnMajor(DType.F32, rows.length, unit);
      this.chosen = new Rows(scope, DType.U8, rows.length, unit);
      this.before = scope.columnMajor(DType.U8, rows.length, unit);
    }

    void run() {
      la.invertDiagonalBlocks(v, u);
      for (int from = 0; from < n; from += unit) {
        int to = Math.min(from + unit, n);
        try (TensorScope local = backend.newScope()) {
          begin(from, to, local);
          Tensor origin = stages(from, to, local);
          if (from > 0) {
            decide(from, to, origin.columns(0, m));
          }
          backend.quantization().keepDescendants(origin, cost);
        }
        if (to < n) {
          differ(from, to);
        }
        Tensor swapped = before;
        before = chosen.now;
        chosen.now = swapped;
      }
      int last = (n - 1) / unit * unit;
      gatherRows(before.columns(0, n - last), row.columns(0, m), codes.columns(last, n));
    }

    /** The weights of a unit, for each path. */
    private void begin(int from, int to, TensorScope scope) {
      int width = to - from;
      Tensor own = u.rows(from, to).columns(0, width);
      Tensor current = weights.now.columns(0, width);
      Tensor given = w.columns(from, to);
      int decided = from - unit;
      if (decided > 0) {
        int place = from % panel;
        if (place == 0) {
          Tensor right = v.rows(0, decided).columns(from, Math.min(from + panel, n));
          la.gemm(1, difference.columns(0, decided), right, 0, known.columns(0, right.columns()));
        }
        Tensor sum = scope.columnMajor(DType.F32, m, width);
        la.convert(given, sum);
        la.gemm(1, known.columns(place, place + width), own, 1, sum);
        given = sum;
      }
      gatherRows(given, row, current);
      if (from > 0) {
        Tensor open = scope.columnMajor(DType.F32, current.rows(), width);
        la.gemm(1, recent, v.rows(decided, from).columns(from, to), 0, open);
        la.gemm(1, open, own, 1, current);
      }
    }

    /**
     * Quantizes the columns of a unit, in stages of which each has its grids fitted before.
     *
     * @return I32, 1 × paths·m: where each path was when the unit began
     */
    private Tensor stages(int from, int to, TensorScope scope) {
      Tensor origin = scope.rowMajor(DType.I32, 1, paths * m);
      for (int at = from; at < to; at = end(at)) {
        int end = end(at);
        Tensor source = at == from ? origin : scope.rowMajor(DType.I32, 1, paths * m);
        if (at % segment == 0) {
          Tensor best = weights.now.rows(0, m).columns(at - from, to - from);
          fits.fit(best.columns(0, Math.min(segment, best.columns())), at);
        }
        choose(at, end, u.rows(from, to), from, source);
        if (at > from) {
          Tensor done = chosen.now.columns(0, at - from);
          gatherRows(done, source, chosen.spare.columns(0, at - from));
          Tensor composed = scope.rowMajor(DType.I32, 1, paths * m);
          la.gatherColumns(origin, source, composed);
          origin = composed;
        }
        chosen.swap();
      }
      return origin;
    }

    /** Quantizes columns of the unit that begins at {@code from}. */
    private void choose(int at, int end, Tensor own, int from, Tensor source) {
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
              chosen.spare.columns(at - from, end - from),
              source);
      if (end - from < width) {
        Tensor rest = weights.spare.columns(end - from, width);
        gatherRows(weights.now.columns(end - from, width), source, rest);
        la.gemm(-1, errors, factors.columns(end - from, width), 1, rest);
        weights.swap();
      }
    }

    /** Takes the unit before as what the best paths, which were in these rows then, have of it. */
    private void decide(int from, int to, Tensor best) {
      int first = from - unit;
      gatherRows(before, best, codes.columns(first, from));
      Tensor done = difference.columns(first, from);
      gatherRows(recent, best, done);
      int place = from % panel;
      int end = Math.min(from - place + panel, n);
      if (to < end) {
        Tensor right = v.rows(first, from).columns(to, end);
        la.gemm(1, done, right, 1, known.columns(to - from + place, end - from + place));
      }
    }

    /** E of this unit. */
    private void differ(int from, int to) {
      gatherRows(grid.scale(), row, shared.scale());
      gatherRows(grid.zero(), row, shared.zero());
      gatherRows(w.columns(from, to), row, recent);
      backend.quantization().subtract(recent, chosen.now, shared.columns(from, to), recent);
    }
  }

  /** The end of the stage that begins at a column. */
  private int end(int at) {
    int most = Math.min(v.rows(), (at / unit + 1) * unit);
    return Math.min(most, Math.min(at + block, (at / segment + 1) * segment));
  }

  private void gatherRows(Tensor from, Tensor rows, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), rows, to.transposed());
  }
}
