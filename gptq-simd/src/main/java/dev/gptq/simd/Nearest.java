package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** Rounding to the nearest code and back, one row a lane, in strips of rows. */
final class Nearest {
  private static final long BYTES = 4L * ColumnStrips.ROWS;

  private Nearest() {}

  /** {@code codes = clamp(round(w/s) + z)}. */
  static void quantize(Execution execution, Matrix w, GridView grid, Matrix codes) {
    forStrips(
        execution,
        w,
        (row, rows, strip) -> {
          Strips.load(w, row, rows, strip);
          forColumns(
              w.columns(),
              grid,
              row,
              rows,
              strip,
              (j, grids, spare) -> {
                for (int half = 0; half < 2; half++) {
                  long lane = (long) half * Lanes.BYTES;
                  FloatVector scale = Lanes.load(strip, grids + lane);
                  FloatVector zero = Lanes.load(strip, grids + BYTES + lane);
                  FloatVector code =
                      Rounding.codes(
                          Lanes.load(strip, BYTES * j + lane),
                          scale,
                          zero,
                          grid.midRise(),
                          grid.least(),
                          grid.most());
                  Codes.store(Rounding.toInt(code), strip, spare + (long) half * Lanes.COUNT);
                }
                MemorySegment.copy(strip, spare, codes.segment(), codes.index(row, j), rows);
              });
        });
  }

  /** {@code w = s·(u − z)}. */
  static void dequantize(Execution execution, Matrix codes, GridView grid, Matrix w) {
    forStrips(
        execution,
        w,
        (row, rows, strip) -> {
          forColumns(
              w.columns(),
              grid,
              row,
              rows,
              strip,
              (j, grids, spare) -> {
                MemorySegment.copy(codes.segment(), codes.index(row, j), strip, spare, rows);
                for (int half = 0; half < 2; half++) {
                  long lane = (long) half * Lanes.BYTES;
                  Lanes.store(values(strip, grids, spare, half), strip, BYTES * j + lane);
                }
              });
          if (w.rowStride() == 1) {
            Strips.store(strip, w, row, rows);
          } else {
            scatter(strip, w, row, rows);
          }
        });
  }

  /** {@code difference = w − s·(u − z)}. */
  static void subtract(
      Execution execution, Matrix w, Matrix codes, GridView grid, Matrix difference) {
    forStrips(
        execution,
        w,
        (row, rows, strip) -> {
          Strips.load(w, row, rows, strip);
          forColumns(
              w.columns(),
              grid,
              row,
              rows,
              strip,
              (j, grids, spare) -> {
                MemorySegment.copy(codes.segment(), codes.index(row, j), strip, spare, rows);
                for (int half = 0; half < 2; half++) {
                  long at = BYTES * j + (long) half * Lanes.BYTES;
                  FloatVector left = Lanes.load(strip, at).sub(values(strip, grids, spare, half));
                  Lanes.store(left, strip, at);
                }
              });
          Strips.store(strip, difference, row, rows);
        });
  }

  /** {@code s·(u − z)} of half a strip's rows of a column. */
  private static FloatVector values(MemorySegment strip, long grids, long spare, int half) {
    long lane = (long) half * Lanes.BYTES;
    FloatVector scale = Lanes.load(strip, grids + lane);
    FloatVector zero = Lanes.load(strip, grids + BYTES + lane);
    FloatVector u = Lanes.toFloat(Codes.load(strip, spare + (long) half * Lanes.COUNT));
    return scale.mul(u.sub(zero));
  }

  private static void scatter(MemorySegment strip, Matrix w, int row, int rows) {
    for (int r = 0; r < rows; r++) {
      long to = w.at(row + r, 0);
      for (int j = 0; j < w.columns(); j++) {
        float value = strip.get(Lanes.FLOAT, BYTES * j + 4L * r);
        w.segment().set(Lanes.FLOAT, to + j * 4L * w.columnStride(), value);
      }
    }
  }

  private interface Strip {
    void run(int row, int rows, MemorySegment strip);
  }

  private interface Column {
    void run(int j, long grids, long spare);
  }

  private static void forStrips(Execution execution, Matrix w, Strip body) {
    int strips = (w.rows() + ColumnStrips.ROWS - 1) / ColumnStrips.ROWS;
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), BYTES * (w.columns() + 3L));
    execution
        .pool()
        .forEach(
            strips,
            (i, worker) -> {
              int row = i * ColumnStrips.ROWS;
              body.run(row, Math.min(ColumnStrips.ROWS, w.rows() - row), scratch[worker]);
            });
  }

  /** Runs {@code body} on each column, with its group's grid and room for codes in the strip. */
  private static void forColumns(
      int columns, GridView grid, int row, int rows, MemorySegment strip, Column body) {
    long grids = BYTES * columns;
    int group = -1;
    for (int j = 0; j < columns; j++) {
      if (grid.group(j) != group) {
        group = grid.group(j);
        Strips.loadGrid(grid, group, row, rows, strip, grids);
      }
      body.run(j, grids, grids + 2 * BYTES);
    }
  }
}
