package dev.gptq.simd;

import dev.gptq.grid.ErrorNorm;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** {@link ErrorNorm#of} on all lanes, step by step the same. */
final class ErrorPower {
  private static final float P0 = ErrorNorm.log2Coefficients()[0];
  private static final float P1 = ErrorNorm.log2Coefficients()[1];
  private static final float P2 = ErrorNorm.log2Coefficients()[2];
  private static final float P3 = ErrorNorm.log2Coefficients()[3];
  private static final float P4 = ErrorNorm.log2Coefficients()[4];
  private static final float P5 = ErrorNorm.log2Coefficients()[5];
  private static final float P6 = ErrorNorm.log2Coefficients()[6];
  private static final float P7 = ErrorNorm.log2Coefficients()[7];
  private static final float P8 = ErrorNorm.log2Coefficients()[8];
  private static final float Q0 = ErrorNorm.exp2Coefficients()[0];
  private static final float Q1 = ErrorNorm.exp2Coefficients()[1];
  private static final float Q2 = ErrorNorm.exp2Coefficients()[2];
  private static final float Q3 = ErrorNorm.exp2Coefficients()[3];
  private static final float Q4 = ErrorNorm.exp2Coefficients()[4];
  private static final float Q5 = ErrorNorm.exp2Coefficients()[5];
  private static final float Q6 = ErrorNorm.exp2Coefficients()[6];

  private ErrorPower() {}

  /** {@code |x|^2.4}. */
  static FloatVector of(FloatVector x) {
    FloatVector a = x.abs();
    IntVector bits = a.reinterpretAsInts();
    FloatVector k = Lanes.toFloat(bits.lanewise(VectorOperators.LSHR, 23).sub(127));
    FloatVector f = bits.and(0x7fffff).or(0x3f800000).reinterpretAsFloats().sub(1f);
    FloatVector p = constant(P0);
    p = p.fma(f, constant(P1));
    p = p.fma(f, constant(P2));
    p = p.fma(f, constant(P3));
    p = p.fma(f, constant(P4));
    p = p.fma(f, constant(P5));
    p = p.fma(f, constant(P6));
    p = p.fma(f, constant(P7));
    p = p.fma(f, constant(P8));
    FloatVector y = f.fma(p, k).mul(ErrorNorm.EXPONENT);
    FloatVector n = Rounding.rint(y);
    FloatVector g = y.sub(n);
    FloatVector q = constant(Q0);
    q = q.fma(g, constant(Q1));
    q = q.fma(g, constant(Q2));
    q = q.fma(g, constant(Q3));
    q = q.fma(g, constant(Q4));
    q = q.fma(g, constant(Q5));
    q = q.fma(g, constant(Q6));
    IntVector exponent = Lanes.toInt(n).lanewise(VectorOperators.LSHL, 23);
    FloatVector power = q.reinterpretAsInts().add(exponent).reinterpretAsFloats();
    return power.blend(0f, a.compare(VectorOperators.LT, ErrorNorm.SMALLEST));
  }

  private static FloatVector constant(float value) {
    return FloatVector.broadcast(Lanes.F, value);
  }
}
