package dev.gptq.simd;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Grids that depend on the weights alone: {@link dev.gptq.backend.QuantizationOps#fitGrid} and
 * single candidates.
 */
final class GridFit {
  private static final int CANDIDATES = 80;

  private GridFit() {}

  /** The grid of the specified search. */
  static void run(Execution execution, Matrix w, GridSpec spec, Matrix scale, Matrix zero) {
    if (spec.search() == GridSearch.MSE) {
      GridStrips.run(
          execution,
          w,
          spec,
          scale,
          zero,
          1,
          (strip, columns, lane) -> search(strip, columns, lane, spec));
    } else {
      candidate(execution, w, spec, 1, 0, scale, zero);
    }
  }

  /** The range times {@code shrink}, the zero point moved by {@code zeroShift}. */
  static void candidate(
      Execution execution,
      Matrix w,
      GridSpec spec,
      float shrink,
      int zeroShift,
      Matrix scale,
      Matrix zero) {
    GridStrips.run(
        execution,
        w,
        spec,
        scale,
        zero,
        0,
        (strip, columns, lane) -> {
          FloatVector s = GridStrips.scale(strip, columns, lane, shrink, spec);
          FloatVector z = GridStrips.zero(strip, columns, lane, shrink, zeroShift, s, spec);
          GridStrips.choose(strip, columns, lane, s, z);
        });
  }

  private static void search(MemorySegment strip, int columns, long lane, GridSpec spec) {
    FloatVector bestScale = GridStrips.scale(strip, columns, lane, 1, spec);
    FloatVector bestZero = GridStrips.zero(strip, columns, lane, 1, 0, bestScale, spec);
    FloatVector least = FloatVector.broadcast(Lanes.F, Float.POSITIVE_INFINITY);
    for (int i = 0; i < CANDIDATES; i++) {
      float p = (float) (1 - i / 100.0);
      FloatVector s = GridStrips.scale(strip, columns, lane, p, spec);
      FloatVector z = GridStrips.zero(strip, columns, lane, p, 0, s, spec);
      FloatVector error = error(strip, columns, lane, s, z, spec);
      VectorMask<Float> better = error.compare(VectorOperators.LT, least);
      least = least.blend(error, better);
      bestScale = bestScale.blend(s, better);
      bestZero = bestZero.blend(z, better);
    }
    GridStrips.choose(strip, columns, lane, bestScale, bestZero);
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
    long errors = GridStrips.spareAt(columns);
    for (int c = 0; c < columns; c++) {
      FloatVector w = Lanes.load(strip, GridStrips.BYTES * c + lane);
      FloatVector u = Rounding.codes(w, s, z, midRise, least, most);
      Lanes.store(s.mul(u.sub(z)).sub(w), strip, errors + (long) c * Lanes.BYTES);
    }
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int c = 0; c < columns; c++) {
      sum = sum.add(ErrorPower.of(Lanes.load(strip, errors + (long) c * Lanes.BYTES)));
    }
    return sum;
  }
}
