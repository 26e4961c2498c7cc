package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** The parts of a softmax on a run of floats: its maximum, its shifted exponentials. */
final class Softmax {
  private Softmax() {}

  /** The largest of {@code count} floats. */
  static float max(MemorySegment segment, long offset, int count) {
    FloatVector max = FloatVector.broadcast(Lanes.F, Float.NEGATIVE_INFINITY);
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      max = max.max(Lanes.load(segment, offset + 4L * j));
    }
    float most = max.reduceLanes(VectorOperators.MAX);
    for (; j < count; j++) {
      most = Math.max(most, segment.get(Lanes.FLOAT, offset + 4L * j));
    }
    return most;
  }

  /** {@code Σ e^(x − shift)}; every lane sums at most 64 terms before it is widened. */
  static double sumExp(MemorySegment segment, long offset, int count, float shift) {
    double total = 0;
    int j = 0;
    while (j <= count - Lanes.COUNT) {
      int end = Math.min(Lanes.F.loopBound(count), j + 64 * Lanes.COUNT);
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (; j < end; j += Lanes.COUNT) {
        sum = sum.add(VectorMath.exp(Lanes.load(segment, offset + 4L * j).sub(shift)));
      }
      total += Lanes.sum(sum);
    }
    for (; j < count; j++) {
      total += Math.exp(segment.get(Lanes.FLOAT, offset + 4L * j) - shift);
    }
    return total;
  }

  /** {@code x ← e^(x − shift)}; returns the sum. */
  static double expInPlace(MemorySegment segment, long offset, int count, float shift) {
    FloatVector sum = FloatVector.zero(Lanes.F);
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      FloatVector e = VectorMath.exp(Lanes.load(segment, offset + 4L * j).sub(shift));
      Lanes.store(e, segment, offset + 4L * j);
      sum = sum.add(e);
    }
    double total = Lanes.sum(sum);
    if (j < count) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, count);
      FloatVector x = Functions.load(segment, offset + 4L * j, mask);
      FloatVector e = VectorMath.exp(x.sub(shift));
      Functions.store(e, segment, offset + 4L * j, mask);
      total += Lanes.sum(FloatVector.zero(Lanes.F).blend(e, mask));
    }
    return total;
  }
}
