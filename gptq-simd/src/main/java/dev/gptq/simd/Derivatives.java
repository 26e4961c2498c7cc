package dev.gptq.simd;

import dev.gptq.backend.Activation;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Derivatives of activation functions, for a range of rows of F32 matrices. */
final class Derivatives {
  private static final float DENSITY = (float) (1 / Math.sqrt(2 * Math.PI));
  private static final float ROOT = (float) Math.sqrt(2 / Math.PI);
  private static final float CUBIC = 0.044715f;

  private Derivatives() {}

  /** {@code dx ← f′(x)∘dy}. */
  static void apply(Activation f, Matrix x, Matrix dy, Matrix dx, int from, int to) {
    int n = x.columns();
    MemorySegment source = x.segment();
    for (int r = from; r < to; r++) {
      for (int j = 0; j < n; j += Lanes.COUNT) {
        VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
        FloatVector slope = of(f, Functions.load(source, x.at(r, j), mask));
        FloatVector d = Functions.load(dy.segment(), dy.at(r, j), mask);
        Functions.store(slope.mul(d), dx.segment(), dx.at(r, j), mask);
      }
    }
  }

  private static FloatVector of(Activation f, FloatVector x) {
    return switch (f) {
      case SILU -> {
        FloatVector s = VectorMath.sigmoid(x);
        yield s.mul(x.mul(constant(1).sub(s)).add(1f));
      }
      case GELU -> gelu(x);
      case GELU_TANH -> {
        FloatVector square = x.mul(x);
        FloatVector twice = x.mul(square.mul(CUBIC).add(1f)).mul(2 * ROOT);
        FloatVector s = VectorMath.sigmoid(twice);
        FloatVector inner = square.mul(3 * CUBIC).add(1f).mul(2 * ROOT);
        yield s.add(x.mul(s).mul(constant(1).sub(s)).mul(inner));
      }
      case RELU -> constant(0).blend(1f, x.compare(VectorOperators.GT, 0f));
      case RELU_SQUARED -> x.max(0f).mul(2f);
      case IDENTITY -> constant(1);
      case SIGMOID -> {
        FloatVector s = VectorMath.sigmoid(x);
        yield s.mul(constant(1).sub(s));
      }
      case ELU_EXCESS -> VectorMath.eluExcess(x).add(x.min(0f));
    };
  }

  /** {@code Φ(x) + x·φ(x)}. */
  private static FloatVector gelu(FloatVector x) {
    FloatVector a = x.abs();
    FloatVector e = VectorMath.exp(a.mul(a).mul(-0.5f));
    FloatVector tail = NormalTail.ratio(a).mul(e);
    VectorMask<Float> positive = x.compare(VectorOperators.GT, 0f);
    return x.mul(e).mul(DENSITY).add(tail.blend(constant(1).sub(tail), positive));
  }

  private static FloatVector constant(float value) {
    return FloatVector.broadcast(Lanes.F, value);
  }
}
