package dev.gptq.simd;

import dev.gptq.grid.ErrorNorm;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link ErrorNorm#of} on all lanes, step by step the same. */
final class ErrorPower {
  // Vectors, not floats: a broadcast each would exhaust the compiler's budget of nodes.
  private static final FloatVector P0 = constant(ErrorNorm.log2Coefficients()[0]);
  private static final FloatVector P1 = constant(ErrorNorm.log2Coefficients()[1]);
  private static final FloatVector P2 = constant(ErrorNorm.log2Coefficients()[2]);
  private static final FloatVector P3 = constant(ErrorNorm.log2Coefficients()[3]);
  private static final FloatVector P4 = constant(ErrorNorm.log2Coefficients()[4]);
  private static final FloatVector P5 = constant(ErrorNorm.log2Coefficients()[5]);
  private static final FloatVector P6 = constant(ErrorNorm.log2Coefficients()[6]);
  private static final FloatVector P7 = constant(ErrorNorm.log2Coefficients()[7]);
  private static final FloatVector P8 = constant(ErrorNorm.log2Coefficients()[8]);
  private static final FloatVector Q0 = constant(ErrorNorm.exp2Coefficients()[0]);
  private static final FloatVector Q1 = constant(ErrorNorm.exp2Coefficients()[1]);
  private static final FloatVector Q2 = constant(ErrorNorm.exp2Coefficients()[2]);
  private static final FloatVector Q3 = constant(ErrorNorm.exp2Coefficients()[3]);
  private static final FloatVector Q4 = constant(ErrorNorm.exp2Coefficients()[4]);
  private static final FloatVector Q5 = constant(ErrorNorm.exp2Coefficients()[5]);
  private static final FloatVector Q6 = constant(ErrorNorm.exp2Coefficients()[6]);

  private ErrorPower() {}

  /** {@code |x|^2.4}. In two halves, because the compiler inlines only up to 325 bytecodes. */
  static FloatVector of(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector power = exp2(log2(a).mul(ErrorNorm.EXPONENT));
    return power.blend(0f, a.compare(VectorOperators.LT, ErrorNorm.SMALLEST));
  }

  private static FloatVector log2(FloatVector a) {
    IntVector bits = a.reinterpretAsInts();
    FloatVector k = Lanes.toFloat(bits.lanewise(VectorOperators.LSHR, 23).sub(127));
    FloatVector f = bits.and(0x7fffff).or(0x3f800000).reinterpretAsFloats().sub(1f);
    FloatVector p = P0;
    p = p.fma(f, P1);
    p = p.fma(f, P2);
    p = p.fma(f, P3);
    p = p.fma(f, P4);
    p = p.fma(f, P5);
    p = p.fma(f, P6);
    p = p.fma(f, P7);
    p = p.fma(f, P8);
    return f.fma(p, k);
  }

  private static FloatVector exp2(FloatVector y) {
    FloatVector n = Rounding.rint(y);
    FloatVector g = y.sub(n);
    FloatVector q = Q0;
    q = q.fma(g, Q1);
    q = q.fma(g, Q2);
    q = q.fma(g, Q3);
    q = q.fma(g, Q4);
    q = q.fma(g, Q5);
    q = q.fma(g, Q6);
    IntVector exponent = Rounding.toInt(n).lanewise(VectorOperators.LSHL, 23);
    return q.reinterpretAsInts().add(exponent).reinterpretAsFloats();
  }

  private static FloatVector constant(float value) {
    return FloatVector.broadcast(Lanes.F, value);
  }
}
