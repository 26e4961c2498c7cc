package dev.gptq.simd;

import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * The grid of a ladder with the least {@code Σ weight_j·(q(w_j) − w_j)²}, see {@link
 * dev.gptq.backend.QuantizationOps#fitGridWeighted}. Candidates that differ in the zero point alone
 * share the division and the rounding. Grids and errors pass through memory: a vector passed to a
 * method that is not inlined would become an object. For the same reason the loops over columns
 * call vector operations directly: the compiler inlines those always, helpers only in short
 * methods.
 */
final class WeightedGridFit {
  private static final long L = Lanes.BYTES;

  // Behind the strip: the scale of the candidates, three zero points, three errors, the least one.
  private static final long SCALE = 0;
  private static final long ZEROS = L;
  private static final long ERRORS = 4 * L;
  private static final long LEAST = 7 * L;

  private static final int[] SHIFTS = {0, -1, 1};

  private WeightedGridFit() {}

  static void run(
      Execution execution,
      Matrix w,
      Matrix weight,
      GridSpec spec,
      GridLadder ladder,
      Matrix scale,
      Matrix zero) {
    float[] shrinks = new float[ladder.shrinks().size()];
    for (int i = 0; i < shrinks.length; i++) {
      shrinks[i] = ladder.shrinks().get(i);
    }
    int zeros = ladder.zeroReach() == 0 ? 1 : 3;
    GridStrips.run(
        execution,
        w,
        spec,
        scale,
        zero,
        0,
        (strip, columns, lane) -> search(strip, columns, lane, weight, spec, shrinks, zeros));
  }

  private static void search(
      MemorySegment strip,
      int columns,
      long lane,
      Matrix weight,
      GridSpec spec,
      float[] shrinks,
      int zeros) {
    long spare = GridStrips.spareAt(columns);
    for (int i = 0; i < shrinks.length; i++) {
      FloatVector s = GridStrips.scale(strip, columns, lane, shrinks[i], spec);
      Lanes.store(s, strip, spare + SCALE);
      for (int k = 0; k < zeros; k++) {
        FloatVector z = GridStrips.zero(strip, columns, lane, shrinks[i], SHIFTS[k], s, spec);
        Lanes.store(z, strip, spare + ZEROS + k * L);
      }
      if (zeros == 1) {
        error(strip, columns, lane, weight, spec, spare);
      } else {
        threeErrors(strip, columns, lane, weight, spec.maxCode(), spare);
      }
      for (int k = 0; k < zeros; k++) {
        keepLeast(strip, columns, lane, spare, k, i == 0 && k == 0);
      }
    }
  }

  private static void keepLeast(
      MemorySegment strip, int columns, long lane, long spare, int k, boolean first) {
    FloatVector s = Lanes.load(strip, spare + SCALE);
    FloatVector z = Lanes.load(strip, spare + ZEROS + k * L);
    FloatVector error = Lanes.load(strip, spare + ERRORS + k * L);
    if (!first) {
      FloatVector least = Lanes.load(strip, spare + LEAST);
      VectorMask<Float> better = error.compare(VectorOperators.LT, least);
      error = least.blend(error, better);
      s = Lanes.load(strip, GridStrips.scaleAt(columns) + lane).blend(s, better);
      z = Lanes.load(strip, GridStrips.zeroAt(columns) + lane).blend(z, better);
    }
    Lanes.store(error, strip, spare + LEAST);
    GridStrips.choose(strip, columns, lane, s, z);
  }

  /** The error of one candidate. */
  private static void error(
      MemorySegment strip, int columns, long lane, Matrix weight, GridSpec spec, long spare) {
    Lanes.requireNative(strip);
    int least = Float.floatToRawIntBits(spec.scheme().minCode());
    int most = Float.floatToRawIntBits(spec.maxCode());
    // Mid-rise codes are floor(t) + 1/2; without a step both subtraction and addition do nothing.
    float step = spec.scheme().isMidRise() ? 1 : 0;
    FloatVector s = Lanes.load(strip, spare + SCALE);
    FloatVector divisor = divisor(s);
    FloatVector z = Lanes.load(strip, spare + ZEROS);
    FloatVector sum = FloatVector.zero(Lanes.F);
    MemorySegment weights = weight.segment();
    long first = weight.at(0, 0);
    for (int c = 0; c < columns; c++) {
      FloatVector w =
          FloatVector.fromMemorySegment(Lanes.F, strip, GridStrips.BYTES * c + lane, Lanes.ORDER);
      FloatVector factor = FloatVector.broadcast(Lanes.F, weights.get(Lanes.FLOAT, first + 4L * c));
      FloatVector t = w.div(divisor);
      // As Rounding.rint, or floor and a half, and clamp.
      FloatVector nearest = t.add(Rounding.MAGIC).sub(Rounding.MAGIC);
      FloatVector below = nearest.sub(step, nearest.compare(VectorOperators.GT, t));
      FloatVector code = below.add(step / 2).add(z);
      FloatVector u = code.reinterpretAsInts().max(least).min(most).reinterpretAsFloats();
      FloatVector d = s.mul(u.sub(z)).sub(w);
      sum = d.mul(d).fma(factor, sum);
    }
    Lanes.store(sum, strip, spare + ERRORS);
  }

  /** The errors of three candidates of one scale and codes from zero on. */
  private static void threeErrors(
      MemorySegment strip, int columns, long lane, Matrix weight, float maxCode, long spare) {
    Lanes.requireNative(strip);
    int most = Float.floatToRawIntBits(maxCode);
    FloatVector s = Lanes.load(strip, spare + SCALE);
    FloatVector divisor = divisor(s);
    FloatVector z0 = Lanes.load(strip, spare + ZEROS);
    FloatVector z1 = Lanes.load(strip, spare + ZEROS + L);
    FloatVector z2 = Lanes.load(strip, spare + ZEROS + 2 * L);
    FloatVector sum0 = FloatVector.zero(Lanes.F);
    FloatVector sum1 = sum0;
    FloatVector sum2 = sum0;
    MemorySegment weights = weight.segment();
    long first = weight.at(0, 0);
    for (int c = 0; c < columns; c++) {
      FloatVector w =
          FloatVector.fromMemorySegment(Lanes.F, strip, GridStrips.BYTES * c + lane, Lanes.ORDER);
      FloatVector factor = FloatVector.broadcast(Lanes.F, weights.get(Lanes.FLOAT, first + 4L * c));
      FloatVector rounded = w.div(divisor).add(Rounding.MAGIC).sub(Rounding.MAGIC);
      FloatVector u0 = rounded.add(z0).reinterpretAsInts().max(0).min(most).reinterpretAsFloats();
      FloatVector d0 = s.mul(u0.sub(z0)).sub(w);
      sum0 = d0.mul(d0).fma(factor, sum0);
      FloatVector u1 = rounded.add(z1).reinterpretAsInts().max(0).min(most).reinterpretAsFloats();
      FloatVector d1 = s.mul(u1.sub(z1)).sub(w);
      sum1 = d1.mul(d1).fma(factor, sum1);
      FloatVector u2 = rounded.add(z2).reinterpretAsInts().max(0).min(most).reinterpretAsFloats();
      FloatVector d2 = s.mul(u2.sub(z2)).sub(w);
      sum2 = d2.mul(d2).fma(factor, sum2);
    }
    Lanes.store(sum0, strip, spare + ERRORS);
    Lanes.store(sum1, strip, spare + ERRORS + L);
    Lanes.store(sum2, strip, spare + ERRORS + 2 * L);
  }

  /** A scale of zero makes every error {@code −w}, whatever the code: any divisor will do. */
  private static FloatVector divisor(FloatVector scale) {
    return scale.blend(1f, scale.compare(VectorOperators.EQ, 0f));
  }
}
