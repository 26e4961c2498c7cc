package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** Operations on F32 matrices of contiguous rows, element by element, for a range of rows. */
final class Elementwise {
  private Elementwise() {}

  /** {@code y ← y + α·x}. */
  static void axpy(float alpha, Matrix x, Matrix y, int from, int to) {
    int n = y.columns();
    int bound = Lanes.F.loopBound(n);
    FloatVector factor = FloatVector.broadcast(Lanes.F, alpha);
    for (int r = from; r < to; r++) {
      long xs = x.at(r, 0);
      long ys = y.at(r, 0);
      int j = 0;
      for (; j < bound; j += Lanes.COUNT) {
        FloatVector old = Lanes.load(y.segment(), ys + 4L * j);
        Lanes.store(
            factor.fma(Lanes.load(x.segment(), xs + 4L * j), old), y.segment(), ys + 4L * j);
      }
      for (; j < n; j++) {
        float old = y.segment().get(Lanes.FLOAT, ys + 4L * j);
        float value = x.segment().get(Lanes.FLOAT, xs + 4L * j);
        y.segment().set(Lanes.FLOAT, ys + 4L * j, Math.fma(alpha, value, old));
      }
    }
  }

  /** {@code x ← factor·x}. */
  static void scale(float factor, Matrix x, int from, int to) {
    int n = x.columns();
    int bound = Lanes.F.loopBound(n);
    for (int r = from; r < to; r++) {
      long xs = x.at(r, 0);
      int j = 0;
      for (; j < bound; j += Lanes.COUNT) {
        Lanes.store(Lanes.load(x.segment(), xs + 4L * j).mul(factor), x.segment(), xs + 4L * j);
      }
      for (; j < n; j++) {
        float value = x.segment().get(Lanes.FLOAT, xs + 4L * j);
        x.segment().set(Lanes.FLOAT, xs + 4L * j, factor * value);
      }
    }
  }

  /** {@code x ← min(max(x, low), high)}. */
  static void clamp(float low, float high, Matrix x, int from, int to) {
    int n = x.columns();
    int bound = Lanes.F.loopBound(n);
    for (int r = from; r < to; r++) {
      long xs = x.at(r, 0);
      int j = 0;
      for (; j < bound; j += Lanes.COUNT) {
        FloatVector value = Lanes.load(x.segment(), xs + 4L * j);
        Lanes.store(value.max(low).min(high), x.segment(), xs + 4L * j);
      }
      for (; j < n; j++) {
        float value = x.segment().get(Lanes.FLOAT, xs + 4L * j);
        x.segment().set(Lanes.FLOAT, xs + 4L * j, Math.min(Math.max(value, low), high));
      }
    }
  }

  /**
   * {@code y ← factor·x} for single rows. Called from long methods, in which helpers are not always
   * inlined and would make objects of vectors, so that it calls the operations directly.
   */
  static void scaled(float factor, Matrix x, Matrix y) {
    int n = x.columns();
    int bound = Lanes.F.loopBound(n);
    MemorySegment source = x.segment();
    MemorySegment target = y.segment();
    Lanes.requireNative(source);
    Lanes.requireNative(target);
    long xs = x.at(0, 0);
    long ys = y.at(0, 0);
    int j = 0;
    for (; j < bound; j += Lanes.COUNT) {
      FloatVector.fromMemorySegment(Lanes.F, source, xs + 4L * j, Lanes.ORDER)
          .mul(factor)
          .intoMemorySegment(target, ys + 4L * j, Lanes.ORDER);
    }
    for (; j < n; j++) {
      target.set(Lanes.FLOAT, ys + 4L * j, factor * source.get(Lanes.FLOAT, xs + 4L * j));
    }
  }
}
