package dev.gptq.simd;

import dev.gptq.backend.Activation;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Functions of single elements, for a range of rows of F32 matrices with contiguous rows. */
final class Functions {
  private static final int L = Lanes.COUNT;

  private Functions() {}

  /** {@code y ← f(x)}. */
  static void activate(Activation f, Matrix x, Matrix y, int from, int to) {
    int n = y.columns();
    for (int r = from; r < to; r++) {
      long xs = x.at(r, 0);
      long ys = y.at(r, 0);
      int j = 0;
      for (; j <= n - L; j += L) {
        Lanes.store(apply(f, Lanes.load(x.segment(), xs + 4L * j)), y.segment(), ys + 4L * j);
      }
      if (j < n) {
        VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
        store(apply(f, load(x.segment(), xs + 4L * j, mask)), y.segment(), ys + 4L * j, mask);
      }
    }
  }

  /** {@code y ← f(gate)·up}. */
  static void gate(Activation f, Matrix gate, Matrix up, Matrix y, int from, int to) {
    int n = y.columns();
    for (int r = from; r < to; r++) {
      long gs = gate.at(r, 0);
      long us = up.at(r, 0);
      long ys = y.at(r, 0);
      int j = 0;
      for (; j <= n - L; j += L) {
        FloatVector g = apply(f, Lanes.load(gate.segment(), gs + 4L * j));
        FloatVector u = Lanes.load(up.segment(), us + 4L * j);
        Lanes.store(g.mul(u), y.segment(), ys + 4L * j);
      }
      if (j < n) {
        VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
        FloatVector g = apply(f, load(gate.segment(), gs + 4L * j, mask));
        FloatVector u = load(up.segment(), us + 4L * j, mask);
        store(g.mul(u), y.segment(), ys + 4L * j, mask);
      }
    }
  }

  /** {@code x ← cap·tanh(x/cap)}. */
  static void softCap(float cap, Matrix x, int from, int to) {
    int n = x.columns();
    MemorySegment segment = x.segment();
    for (int r = from; r < to; r++) {
      long at = x.at(r, 0);
      int j = 0;
      for (; j <= n - L; j += L) {
        Lanes.store(capped(cap, Lanes.load(segment, at + 4L * j)), segment, at + 4L * j);
      }
      if (j < n) {
        VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
        store(capped(cap, load(segment, at + 4L * j, mask)), segment, at + 4L * j, mask);
      }
    }
  }

  static FloatVector capped(float cap, FloatVector x) {
    return VectorMath.tanh(x.div(cap)).mul(cap);
  }

  private static FloatVector apply(Activation f, FloatVector x) {
    return switch (f) {
      case SILU -> x.mul(VectorMath.sigmoid(x));
      case GELU -> VectorMath.gelu(x);
      case GELU_TANH -> VectorMath.geluTanh(x);
      case RELU -> x.max(0f);
      case RELU_SQUARED -> {
        FloatVector positive = x.max(0f);
        yield positive.mul(positive);
      }
      case IDENTITY -> x;
      case SIGMOID -> VectorMath.sigmoid(x);
      case ELU_EXCESS -> VectorMath.eluExcess(x);
    };
  }

  static FloatVector load(MemorySegment segment, long offset, VectorMask<Float> mask) {
    return FloatVector.fromMemorySegment(Lanes.F, segment, offset, Lanes.ORDER, mask);
  }

  static void store(FloatVector v, MemorySegment segment, long offset, VectorMask<Float> mask) {
    v.intoMemorySegment(segment, offset, Lanes.ORDER, mask);
  }
}
