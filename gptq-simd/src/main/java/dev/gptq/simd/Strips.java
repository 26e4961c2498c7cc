package dev.gptq.simd;

import java.lang.foreign.MemorySegment;

/** Strips of {@link ColumnStrips#ROWS} rows in dense scratch, column after column. */
final class Strips {
  private static final long BYTES = 4L * ColumnStrips.ROWS;

  private Strips() {}

  /** Copies rows row … row + rows − 1 of w; the rows that are missing become zeros. */
  static void load(Matrix w, int row, int rows, MemorySegment strip) {
    if (rows < ColumnStrips.ROWS) {
      strip.asSlice(0, BYTES * w.columns()).fill((byte) 0);
      for (int j = 0; j < w.columns(); j++) {
        MemorySegment.copy(w.segment(), w.at(row, j), strip, BYTES * j, 4L * rows);
      }
      return;
    }
    for (int j = 0; j < w.columns(); j++) {
      long from = w.at(row, j);
      long to = BYTES * j;
      Lanes.store(Lanes.load(w.segment(), from), strip, to);
      Lanes.store(Lanes.load(w.segment(), from + Lanes.BYTES), strip, to + Lanes.BYTES);
    }
  }

  /** The way back of {@link #load}. */
  static void store(MemorySegment strip, Matrix w, int row, int rows) {
    if (rows < ColumnStrips.ROWS) {
      for (int j = 0; j < w.columns(); j++) {
        MemorySegment.copy(strip, BYTES * j, w.segment(), w.at(row, j), 4L * rows);
      }
      return;
    }
    for (int j = 0; j < w.columns(); j++) {
      long from = BYTES * j;
      long to = w.at(row, j);
      Lanes.store(Lanes.load(strip, from), w.segment(), to);
      Lanes.store(Lanes.load(strip, from + Lanes.BYTES), w.segment(), to + Lanes.BYTES);
    }
  }

  /** Scales and behind them zeros of one group; missing rows get the scale 1 and the zero 0. */
  static void loadGrid(
      GridView grid, int group, int row, int rows, MemorySegment strip, long offset) {
    for (int i = rows; i < ColumnStrips.ROWS; i++) {
      strip.set(Lanes.FLOAT, offset + 4L * i, 1f);
      strip.set(Lanes.FLOAT, offset + BYTES + 4L * i, 0f);
    }
    Matrix scale = grid.scale();
    Matrix zero = grid.zero();
    MemorySegment.copy(scale.segment(), scale.at(row, group), strip, offset, 4L * rows);
    MemorySegment.copy(zero.segment(), zero.at(row, group), strip, offset + BYTES, 4L * rows);
  }
}
