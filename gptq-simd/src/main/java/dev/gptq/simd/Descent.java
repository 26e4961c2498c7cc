package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * One sweep of coordinate descent on a strip of rows, one row a lane, see {@link
 * dev.gptq.backend.QuantizationOps#descendBlock}. As in {@link ColumnStrips} the gradients receive
 * their updates late but in order: before a panel of columns those of all earlier steps, within it
 * one by one, and at the end those of the later steps. The strip holds the gradients, behind them
 * −d of every column, the scales and zeros of the present group, and a column of codes.
 */
final class Descent {
  private static final int PANEL = ColumnLoopKernel.COLUMNS;
  private static final long BYTES = 4L * ColumnStrips.ROWS;

  private final Matrix gradient;
  private final GridView grid;
  private final Matrix codes;
  private final Matrix delta;
  private final float[] panels;
  private final int n;
  private final long steps;
  private final long grids;
  private final long spare;

  private Descent(Matrix gradient, GridView grid, Matrix codes, Matrix delta, float[] panels) {
    this.gradient = gradient;
    this.grid = grid;
    this.codes = codes;
    this.delta = delta;
    this.panels = panels;
    this.n = gradient.columns();
    this.steps = BYTES * (n + PANEL);
    this.grids = 2 * steps;
    this.spare = grids + 2 * BYTES;
  }

  static void run(
      Execution execution, Matrix gradient, Matrix h, GridView grid, Matrix codes, Matrix delta) {
    int strips = (gradient.rows() + ColumnStrips.ROWS - 1) / ColumnStrips.ROWS;
    float[] panels = ColumnStrips.panels(execution, h, false);
    Descent descent = new Descent(gradient, grid, codes, delta, panels);
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), descent.spare + BYTES);
    execution
        .pool()
        .forEach(strips, (i, worker) -> descent.strip(i * ColumnStrips.ROWS, scratch[worker]));
  }

  private void strip(int row, MemorySegment strip) {
    int rows = Math.min(ColumnStrips.ROWS, gradient.rows() - row);
    Strips.load(gradient, row, rows, strip);
    strip.asSlice(BYTES * n, BYTES * PANEL).fill((byte) 0);
    int group = -1;
    for (int p = 0; p < n; p += PANEL) {
      ColumnLoopKernel.update(strip, BYTES * p, steps, p, panels, ColumnStrips.panelOffset(p, n));
      for (int j = p; j < Math.min(n, p + PANEL); j++) {
        if (grid.group(j) != group) {
          group = grid.group(j);
          Strips.loadGrid(grid, group, row, rows, strip, grids);
        }
        MemorySegment.copy(codes.segment(), codes.index(row, j), strip, spare, rows);
        step(strip, p, j);
        MemorySegment.copy(strip, spare, codes.segment(), codes.index(row, j), rows);
      }
    }
    for (int p = 0; p < n; p += PANEL) {
      int end = Math.min(n, p + PANEL);
      int later = ColumnStrips.panelOffset(p, n) + PANEL * end;
      ColumnLoopKernel.update(strip, BYTES * p, steps + BYTES * end, n - end, panels, later);
    }
    Strips.store(strip, gradient, row, rows);
    ColumnStrips.negate(strip, steps, n);
    Strips.store(strip.asSlice(steps), delta, row, rows);
  }

  /** Moves the codes of column j and updates its panel. */
  private void step(MemorySegment strip, int p, int j) {
    int urow = ColumnStrips.panelOffset(p, n) + j * PANEL;
    float curvature = panels[urow + j - p];
    for (int half = 0; half < 2; half++) {
      long lane = (long) half * Lanes.BYTES;
      long bytes = spare + (long) half * Lanes.COUNT;
      FloatVector scale = Lanes.load(strip, grids + lane);
      FloatVector code = Lanes.toFloat(Codes.load(strip, bytes));
      FloatVector g = Lanes.load(strip, BYTES * j + lane);
      FloatVector moved =
          curvature == 0
              ? Rounding.clamp(code, grid.least(), grid.most())
              : Rounding.codes(g, scale.mul(curvature), code, false, grid.least(), grid.most());
      Codes.store(Rounding.toInt(moved), strip, bytes);
      FloatVector step = scale.mul(moved.sub(code)).neg();
      Lanes.store(step, strip, steps + BYTES * j + lane);
      for (int c = 0; c < PANEL; c++) {
        long at = BYTES * (p + c) + lane;
        FloatVector factor = FloatVector.broadcast(Lanes.F, panels[urow + c]);
        Lanes.store(step.fma(factor, Lanes.load(strip, at)), strip, at);
      }
    }
  }
}
