package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** The parts of a softmax on a run of floats: its maximum, its shifted exponentials. */
final class Softmax {
  private static final int STRETCH = 64 * Lanes.PARTS;

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

  /** The index of the first of the floats that equals {@code value}, {@code count} if none does. */
  static int first(MemorySegment segment, long offset, int count, float value) {
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      VectorMask<Float> same =
          Lanes.load(segment, offset + 4L * j).compare(VectorOperators.EQ, value);
      if (same.anyTrue()) {
        return j + same.firstTrue();
      }
    }
    while (j < count && segment.get(Lanes.FLOAT, offset + 4L * j) != value) {
      j++;
    }
    return j;
  }

  /** {@code Σ e^(x − shift)}; every partial sum has at most 64 terms before it is widened. */
  static double sumExp(MemorySegment segment, long offset, int count, float shift) {
    double total = 0;
    for (int j = 0; j < count; j += STRETCH) {
      total += terms(segment, offset + 4L * j, Math.min(STRETCH, count - j), shift);
    }
    return total;
  }

  private static double terms(MemorySegment segment, long offset, int count, float shift) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      FloatVector sum = s0.add(VectorMath.exp(Lanes.load(segment, offset + 4L * j).sub(shift)));
      // The vectors take turns; see Lanes.PARTS.
      if (Lanes.COUNT == 16) {
        s0 = sum;
      } else if (Lanes.COUNT == 8) {
        s0 = s1;
        s1 = sum;
      } else {
        s0 = s1;
        s1 = s2;
        s2 = s3;
        s3 = sum;
      }
    }
    if (j < count) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, count);
      FloatVector x = Functions.load(segment, offset + 4L * j, mask);
      s0 = s0.add(FloatVector.zero(Lanes.F).blend(VectorMath.exp(x.sub(shift)), mask));
    }
    return Lanes.COUNT == 4 ? Lanes.sum(s0.add(s2), s1.add(s3)) : Lanes.sum(s0.add(s1));
  }

  /** {@code x ← e^(x − shift)}; returns the sum. */
  static double expInPlace(MemorySegment segment, long offset, int count, float shift) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      FloatVector e = VectorMath.exp(Lanes.load(segment, offset + 4L * j).sub(shift));
      Lanes.store(e, segment, offset + 4L * j);
      FloatVector sum = s0.add(e);
      if (Lanes.COUNT == 16) {
        s0 = sum;
      } else if (Lanes.COUNT == 8) {
        s0 = s1;
        s1 = sum;
      } else {
        s0 = s1;
        s1 = s2;
        s2 = s3;
        s3 = sum;
      }
    }
    if (j < count) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, count);
      FloatVector x = Functions.load(segment, offset + 4L * j, mask);
      FloatVector e = VectorMath.exp(x.sub(shift));
      Functions.store(e, segment, offset + 4L * j, mask);
      s0 = s0.add(FloatVector.zero(Lanes.F).blend(e, mask));
    }
    return Lanes.COUNT == 4 ? Lanes.sum(s0.add(s2), s1.add(s3)) : Lanes.sum(s0.add(s1));
  }
}
