package dev.gptq.simd;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Fits one grid to each row, one row a lane, by the formulas of {@link
 * dev.gptq.backend.QuantizationOps#fitGrid}. A strip of rows is copied into dense scratch first:
 * the search reads it {@value #CANDIDATES} times, and columns a power of two apart evict each
 * other.
 */
final class GridFit {
  private static final int CANDIDATES = 80;
  private static final long BYTES = 4L * ColumnLoop.ROWS;

  private GridFit() {}

  static void run(Execution execution, Matrix w, GridSpec spec, Matrix scale, Matrix zero) {
    int strips = (w.rows() + ColumnLoop.ROWS - 1) / ColumnLoop.ROWS;
    MemorySegment[] scratch =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, execution.pool().workers(), errors(2 * w.columns()));
    execution
        .pool()
        .forEach(
            strips,
            (i, worker) -> {
              MemorySegment strip = scratch[worker];
              int row = i * ColumnLoop.ROWS;
              int rows = Math.min(ColumnLoop.ROWS, w.rows() - row);
              Strips.load(w, row, rows, strip);
              long result = BYTES * w.columns();
              fit(strip, w.columns(), 0, spec, result);
              fit(strip, w.columns(), Lanes.BYTES, spec, result);
              for (int r = 0; r < rows; r++) {
                float s = strip.get(Lanes.FLOAT, result + 4L * r);
                float z = strip.get(Lanes.FLOAT, result + BYTES + 4L * r);
                scale.segment().set(Lanes.FLOAT, scale.at(row + r, 0), s);
                zero.segment().set(Lanes.FLOAT, zero.at(row + r, 0), z);
              }
            });
  }

  private static void fit(MemorySegment strip, int columns, long lane, GridSpec spec, long result) {
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
    lo = lo.blend(-1f, empty);
    hi = hi.blend(1f, empty);
    FloatVector bestScale = scale(lo, hi, spec);
    FloatVector bestZero = zero(lo, bestScale, spec);
    if (spec.search() == GridSearch.MSE) {
      FloatVector least = FloatVector.broadcast(Lanes.F, Float.POSITIVE_INFINITY);
      for (int i = 0; i < CANDIDATES; i++) {
        float p = (float) (1 - i / 100.0);
        FloatVector low = lo.mul(p);
        FloatVector s = scale(low, hi.mul(p), spec);
        FloatVector z = zero(low, s, spec);
        FloatVector error = error(strip, columns, lane, s, z, spec);
        VectorMask<Float> better = error.compare(VectorOperators.LT, least);
        least = least.blend(error, better);
        bestScale = bestScale.blend(s, better);
        bestZero = bestZero.blend(z, better);
      }
    }
    Lanes.store(bestScale, strip, result + lane);
    Lanes.store(bestZero, strip, result + BYTES + lane);
  }

  private static FloatVector scale(FloatVector lo, FloatVector hi, GridSpec spec) {
    float levels = spec.scheme().levels(spec.bits());
    return Rounding.scale(hi.sub(lo).div(levels), spec);
  }

  private static FloatVector zero(FloatVector lo, FloatVector scale, GridSpec spec) {
    return spec.scheme().hasZeroPoint()
        ? Rounding.rint(lo.neg().div(scale)).max(0f).min(spec.maxCode())
        : FloatVector.broadcast(Lanes.F, spec.scheme().fixedZero(spec.bits()));
  }

  /**
   * {@code Σ |q(w) − w|^2.4} over the columns, in their order. Two loops, because one with all of
   * it is more than the compiler inlines.
   */
  private static FloatVector error(
      MemorySegment strip, int columns, long lane, FloatVector s, FloatVector z, GridSpec spec) {
    boolean midRise = spec.scheme().isMidRise();
    float least = spec.scheme().minCode();
    float most = spec.maxCode();
    long errors = errors(columns);
    for (int c = 0; c < columns; c++) {
      FloatVector w = Lanes.load(strip, BYTES * c + lane);
      FloatVector u = Lanes.toFloat(Rounding.codes(w, s, z, midRise, least, most));
      Lanes.store(s.mul(u.sub(z)).sub(w), strip, errors + (long) c * Lanes.BYTES);
    }
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int c = 0; c < columns; c++) {
      sum = sum.add(ErrorPower.of(Lanes.load(strip, errors + (long) c * Lanes.BYTES)));
    }
    return sum;
  }

  /** Where a strip keeps the errors of a candidate: behind weights, scales and zero points. */
  private static long errors(int columns) {
    return BYTES * (columns + 2L);
  }
}
