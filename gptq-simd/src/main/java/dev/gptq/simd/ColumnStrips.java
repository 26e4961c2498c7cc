package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The inner loop of GPTQ on a strip of rows, one row a lane:
 *
 * <pre>
 *   e_j = (w_j − q(w_j)) / U[j][j]
 *   w_k = fma(−e_j, U[j][k], w_k)   for k &gt; j
 * </pre>
 *
 * Each w_k receives its updates in the order j = 0, 1, …; it does not matter to the bits that they
 * come late. So columns are taken in panels of {@value #PANEL}: first all earlier errors act on the
 * panel, with its weights in registers ({@link ColumnLoopKernel}), then the panel's own columns run
 * one after the other. A strip is 2 vectors wide and lies densely, column after column, in scratch;
 * rows beyond the matrix are zeros on a grid of scale 1.
 */
final class ColumnStrips {
  /** Columns updated together. */
  static final int PANEL = ColumnLoopKernel.COLUMNS;

  /** Rows of a strip. */
  static final int ROWS = 2 * Lanes.COUNT;

  private static final long BYTES = 4L * ROWS;

  private ColumnStrips() {}

  /** Runs the block: w becomes the scaled errors, codes the codes. */
  static void run(Execution execution, Matrix w, Matrix u, GridView grid, Matrix codes) {
    int n = w.columns();
    int strips = (w.rows() + ROWS - 1) / ROWS;
    float[] panels = panels(execution, u, true);
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), BYTES * (n + 4L + PANEL));
    execution
        .pool()
        .forEach(strips, (i, worker) -> strip(w, panels, grid, codes, i * ROWS, scratch[worker]));
  }

  /**
   * A square matrix in panels: {@link #panelOffset}, then element [j][p + c] at j·PANEL + c. Of an
   * upper triangle the rows before the end of the panel count, and what lies below is zero.
   */
  static float[] panels(Execution execution, Matrix m, boolean upper) {
    int n = m.columns();
    float[] panels =
        execution.workspace()
            .floats(Workspace.Use.PANELS_B, 1, Math.multiplyExact(n, n + PANEL))[0];
    for (int p = 0; p < n; p += PANEL) {
      int at = panelOffset(p, n);
      int end = upper ? Math.min(n, p + PANEL) : n;
      for (int j = 0; j < end; j++) {
        for (int c = 0; c < PANEL; c++) {
          boolean inside = p + c < n && (!upper || p + c >= j);
          panels[at + j * PANEL + c] = inside ? m.segment().get(Lanes.FLOAT, m.at(j, p + c)) : 0f;
        }
      }
    }
    return panels;
  }

  /** Where the panel of columns p … begins. */
  static int panelOffset(int p, int n) {
    return p * n;
  }

  private static void strip(
      Matrix w, float[] panels, GridView grid, Matrix codes, int row, MemorySegment strip) {
    int n = w.columns();
    int rows = Math.min(ROWS, w.rows() - row);
    // Behind the weights: scale and zero of the present group, then codes of a partial strip.
    long grids = BYTES * (n + PANEL);
    long spare = grids + 2 * BYTES;
    Strips.load(w, row, rows, strip);
    strip.asSlice(BYTES * n, BYTES * PANEL).fill((byte) 0);
    int group = -1;
    for (int p = 0; p < n; p += PANEL) {
      int panel = panelOffset(p, n);
      ColumnLoopKernel.update(strip, BYTES * p, 0, p, panels, panel);
      for (int j = p; j < Math.min(n, p + PANEL); j++) {
        if (grid.group(j) != group) {
          group = grid.group(j);
          Strips.loadGrid(grid, group, row, rows, strip, grids);
        }
        boolean whole = rows == ROWS;
        MemorySegment out = whole ? codes.segment() : strip;
        long at = whole ? codes.index(row, j) : spare;
        quantize(grid, strip, j, panels, panel + j * PANEL, j - p, out, at, grids);
        if (!whole) {
          MemorySegment.copy(strip, spare, codes.segment(), codes.index(row, j), rows);
        }
      }
    }
    negate(strip, 0, n);
    Strips.store(strip, w, row, rows);
  }

  /**
   * Quantizes column j of the strip, leaves −e_j in its place and updates the rest of the panel.
   *
   * @param c the column's number within the panel
   */
  private static void quantize(
      GridView grid,
      MemorySegment strip,
      int j,
      float[] panels,
      int urow,
      int c,
      MemorySegment codes,
      long codesAt,
      long grids) {
    float diagonal = panels[urow + c];
    for (int half = 0; half < 2; half++) {
      long lane = (long) half * Lanes.BYTES;
      long at = BYTES * j + lane;
      FloatVector scale = Lanes.load(strip, grids + lane);
      FloatVector zero = Lanes.load(strip, grids + BYTES + lane);
      FloatVector w = Lanes.load(strip, at);
      FloatVector code = Rounding.codes(w, scale, zero, grid.midRise(), grid.least(), grid.most());
      Codes.store(Rounding.toInt(code), codes, codesAt + (long) half * Lanes.COUNT);
      FloatVector q = scale.mul(code.sub(zero));
      FloatVector e = w.sub(q).div(diagonal).neg();
      Lanes.store(e, strip, at);
      for (int k = 1; k < PANEL - c; k++) {
        long next = at + k * BYTES;
        FloatVector factor = FloatVector.broadcast(Lanes.F, panels[urow + c + k]);
        Lanes.store(e.fma(factor, Lanes.load(strip, next)), strip, next);
      }
    }
  }

  /** Changes the sign of n columns of a strip. */
  static void negate(MemorySegment strip, long offset, int n) {
    for (long at = offset; at < offset + BYTES * n; at += Lanes.BYTES) {
      Lanes.store(Lanes.load(strip, at).neg(), strip, at);
    }
  }
}
