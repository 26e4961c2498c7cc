package dev.gptq.simd;

import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Fits grids to strips of rows, one row a lane. A strip is copied into dense scratch first: a
 * search reads it for every candidate, and columns a power of two apart evict each other. Behind
 * the weights the scratch holds scale, zero, lo and hi of every row, then what a search wants.
 */
final class GridStrips {
  /** Bytes of a column of a strip. */
  static final long BYTES = 4L * ColumnStrips.ROWS;

  private GridStrips() {}

  /** Fits the rows of one vector: reads the range, leaves scale and zero. */
  interface Fit {
    /**
     * Fits.
     *
     * @param lane byte offset of the vector within each column of the strip
     */
    void run(MemorySegment strip, int columns, long lane);
  }

  /**
   * Fits a grid to each row of w.
   *
   * @param spare floats of scratch for each column and lane that the search wants
   */
  static void run(
      Execution execution, Matrix w, GridSpec spec, Matrix scale, Matrix zero, int spare, Fit fit) {
    int columns = w.columns();
    int strips = (w.rows() + ColumnStrips.ROWS - 1) / ColumnStrips.ROWS;
    long bytes = spareAt(columns) + (long) spare * columns * Lanes.BYTES + 8L * Lanes.BYTES;
    MemorySegment[] scratch =
        execution.workspace().get(Workspace.Use.STRIP, execution.pool().workers(), bytes);
    execution
        .pool()
        .forEach(
            strips,
            (i, worker) -> {
              MemorySegment strip = scratch[worker];
              int row = i * ColumnStrips.ROWS;
              int rows = Math.min(ColumnStrips.ROWS, w.rows() - row);
              Strips.load(w, row, rows, strip);
              for (long lane = 0; lane < BYTES; lane += Lanes.BYTES) {
                range(strip, columns, lane, spec);
                fit.run(strip, columns, lane);
              }
              long bytesOfRows = 4L * rows;
              MemorySegment.copy(
                  strip, scaleAt(columns), scale.segment(), scale.at(row, 0), bytesOfRows);
              MemorySegment.copy(
                  strip, zeroAt(columns), zero.segment(), zero.at(row, 0), bytesOfRows);
            });
  }

  static long scaleAt(int columns) {
    return BYTES * columns;
  }

  static long zeroAt(int columns) {
    return BYTES * (columns + 1L);
  }

  static long loAt(int columns) {
    return BYTES * (columns + 2L);
  }

  static long hiAt(int columns) {
    return BYTES * (columns + 3L);
  }

  /** Where scratch of the search begins. */
  static long spareAt(int columns) {
    return BYTES * (columns + 4L);
  }

  /** What the grid of each row has to cover. */
  private static void range(MemorySegment strip, int columns, long lane, GridSpec spec) {
    FloatVector lo = FloatVector.zero(Lanes.F);
    FloatVector hi = lo;
    for (int c = 0; c < columns; c++) {
      FloatVector w = Lanes.load(strip, BYTES * c + lane);
      lo = lo.min(w);
      hi = hi.max(w);
    }
    if (!spec.scheme().hasZeroPoint()) {
      hi = lo.neg().max(hi);
      lo = hi.neg();
    }
    VectorMask<Float> empty =
        lo.compare(VectorOperators.EQ, 0f).and(hi.compare(VectorOperators.EQ, 0f));
    Lanes.store(lo.blend(-1f, empty), strip, loAt(columns) + lane);
    Lanes.store(hi.blend(1f, empty), strip, hiAt(columns) + lane);
  }

  /** The scale of the range shrunk by p. */
  static FloatVector scale(MemorySegment strip, int columns, long lane, float p, GridSpec spec) {
    FloatVector lo = Lanes.load(strip, loAt(columns) + lane).mul(p);
    FloatVector hi = Lanes.load(strip, hiAt(columns) + lane).mul(p);
    float levels = spec.scheme().levels(spec.bits());
    FloatVector step = hi.sub(lo).div(levels);
    if (spec.leastZero() > 0) {
      step = step.max(hi.div(levels - spec.leastZero()));
    }
    return Rounding.scale(step, spec);
  }

  /** The zero point of the range shrunk by p, moved by {@code shift} codes. */
  static FloatVector zero(
      MemorySegment strip,
      int columns,
      long lane,
      float p,
      int shift,
      FloatVector scale,
      GridSpec spec) {
    if (!spec.scheme().hasZeroPoint()) {
      return FloatVector.broadcast(Lanes.F, spec.scheme().fixedZero(spec.bits()));
    }
    FloatVector lo = Lanes.load(strip, loAt(columns) + lane).mul(p);
    FloatVector zero = Rounding.rint(lo.neg().div(scale)).add((float) shift);
    return zero.max((float) spec.leastZero()).min(spec.maxCode());
  }

  /** Leaves a grid as the result. */
  static void choose(
      MemorySegment strip, int columns, long lane, FloatVector scale, FloatVector zero) {
    Lanes.store(scale, strip, scaleAt(columns) + lane);
    Lanes.store(zero, strip, zeroAt(columns) + lane);
  }
}
