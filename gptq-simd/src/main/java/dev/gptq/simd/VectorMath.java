package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Elementary functions on float lanes, to about two units in the last place. */
final class VectorMath {
  private static final float LOG2_E = 1.442695f;
  // ln 2 in two parts: n times the first has no rounding error.
  private static final float LN2_HIGH = 355 / 512f;
  private static final float LN2_LOW = (float) (Math.log(2) - 355 / 512.0);
  private static final float LARGEST = 88f;
  private static final float SMALLEST = -87f;

  private VectorMath() {}

  /** {@code e^x}, with x clamped to [−87, 88]: neither infinite nor subnormal. */
  static FloatVector exp(FloatVector x) {
    // Not by max and min, which take five instructions each to order NaN and signed zeros.
    FloatVector above = x.blend(SMALLEST, x.compare(VectorOperators.LT, SMALLEST));
    FloatVector clamped = above.blend(LARGEST, above.compare(VectorOperators.GT, LARGEST));
    FloatVector n = Rounding.rint(clamped.mul(LOG2_E));
    FloatVector power = power(n);
    return expMinusOne(reduced(clamped, n)).fma(power, power);
  }

  /** {@code 1/(1 + e^(−x))}. */
  static FloatVector sigmoid(FloatVector x) {
    FloatVector one = FloatVector.broadcast(Lanes.F, 1f);
    return one.div(exp(x.neg()).add(1f));
  }

  /** {@code e^x − 1 − x} where x is negative, else 0; accurate near zero as well. */
  static FloatVector eluExcess(FloatVector x) {
    FloatVector negative = x.min(0f);
    FloatVector clamped = negative.max(SMALLEST);
    FloatVector n = Rounding.rint(clamped.mul(LOG2_E));
    FloatVector power = power(n);
    FloatVector r = reduced(clamped, n);
    FloatVector far = expMinusOne(r).fma(power, power.sub(1f)).sub(negative);
    return far.blend(excess(r), n.compare(VectorOperators.EQ, 0f));
  }

  /** {@code tanh x = (e^2x − 1)/(e^2x + 1)}, accurate near zero as well. */
  static FloatVector tanh(FloatVector x) {
    FloatVector twice = x.add(x).max(-30f).min(30f);
    FloatVector n = Rounding.rint(twice.mul(LOG2_E));
    FloatVector power = power(n);
    FloatVector e = expMinusOne(reduced(twice, n)).fma(power, power.sub(1f));
    return e.div(e.add(2f));
  }

  private static FloatVector reduced(FloatVector x, FloatVector n) {
    FloatVector r = n.fma(constant(-LN2_HIGH), x);
    return n.fma(constant(-LN2_LOW), r);
  }

  /** {@code e^r − 1} for |r| ≤ ½·ln 2. */
  private static FloatVector expMinusOne(FloatVector r) {
    return series(r).fma(r.mul(r), r);
  }

  /** {@code e^r − 1 − r} for |r| ≤ ½·ln 2. */
  private static FloatVector excess(FloatVector r) {
    return series(r).mul(r.mul(r));
  }

  /** {@code (e^r − 1 − r)/r²}: the Taylor series, whose rest is under 1e-8 with e^r to r⁷. */
  private static FloatVector series(FloatVector r) {
    return series(constant(1f / 5040), r);
  }

  /** The same with {@code last} for 1/5040 and what follows. */
  private static FloatVector series(FloatVector last, FloatVector r) {
    FloatVector p = last.fma(r, constant(1f / 720));
    p = p.fma(r, constant(1f / 120));
    p = p.fma(r, constant(1f / 24));
    p = p.fma(r, constant(1f / 6));
    return p.fma(r, constant(0.5f));
  }

  /** {@code (e^u − 1 − u)/u²} for |u| ≤ ½: the Taylor series, whose rest is under 1e-8. */
  static FloatVector excessOverSquare(FloatVector u) {
    FloatVector p = constant(1f / 362880).fma(u, constant(1f / 40320));
    return series(p.fma(u, constant(1f / 5040)), u);
  }

  /** {@code 2^n} for integral lanes. */
  private static FloatVector power(FloatVector n) {
    IntVector exponent = Rounding.toInt(n).add(127);
    return exponent.lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
  }

  /** {@code x·Φ(x)}, Φ the normal distribution. */
  static FloatVector gelu(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector tail = NormalTail.ratio(a).mul(exp(a.mul(a).mul(-0.5f)));
    VectorMask<Float> positive = x.compare(VectorOperators.GT, 0f);
    FloatVector rest = constant(1f).sub(tail);
    return x.mul(tail.blend(rest, positive));
  }

  /** {@code ½x(1 + tanh t) = x·σ(2t)}, {@code t = √(2/π)(x + 0.044715x³)}. */
  static FloatVector geluTanh(FloatVector x) {
    float twice = (float) (2 * Math.sqrt(2 / Math.PI));
    FloatVector cubic = x.mul(x).fma(constant(0.044715f), constant(1f));
    return x.mul(sigmoid(x.mul(cubic).mul(twice)));
  }

  private static FloatVector constant(float value) {
    return FloatVector.broadcast(Lanes.F, value);
  }
}
