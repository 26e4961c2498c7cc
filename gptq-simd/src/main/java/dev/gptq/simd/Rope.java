package dev.gptq.simd;

import static jdk.incubator.vector.VectorOperators.NEG;

import dev.gptq.backend.RopePairs;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/** Rotary positions; see {@link dev.gptq.backend.TransformerOps#rope}. */
final class Rope {
  private static final int L = Lanes.COUNT;

  /** Swaps neighbouring lanes. */
  private static final VectorShuffle<Float> SWAP = VectorShuffle.fromOp(Lanes.F, i -> i ^ 1);

  /** Every lane of the lower half twice. */
  private static final VectorShuffle<Float> TWICE = VectorShuffle.fromOp(Lanes.F, i -> i / 2);

  private static final VectorMask<Float> LOWER = Lanes.F.indexInRange(0, L / 2);
  private static final VectorMask<Float> EVEN =
      VectorMask.fromLong(Lanes.F, 0x5555555555555555L & ((1L << L) - 1));

  private Rope() {}

  /** Rotates all heads of row t by the angles at {@code position}. */
  static void rotate(
      Matrix x, int t, int headSize, RopePairs pairs, Matrix cosine, Matrix sine, int position) {
    for (int head = 0; head < x.columns(); head += headSize) {
      long at = x.at(t, head);
      int done =
          switch (pairs) {
            case HALVES -> halves(x.segment(), at, cosine, sine, position);
            case ADJACENT -> adjacent(x.segment(), at, cosine, sine, position);
          };
      rest(x.segment(), at, pairs, cosine, sine, position, done);
    }
  }

  /** Rotates as many pairs as whole vectors hold, and returns how many. */
  private static int halves(MemorySegment x, long a, Matrix cosine, Matrix sine, int position) {
    int half = cosine.columns();
    long b = a + 4L * half;
    int c = 0;
    for (; c <= half - L; c += L) {
      FloatVector cos = Lanes.load(cosine.segment(), cosine.at(position, c));
      FloatVector sin = Lanes.load(sine.segment(), sine.at(position, c));
      FloatVector va = Lanes.load(x, a + 4L * c);
      FloatVector vb = Lanes.load(x, b + 4L * c);
      Lanes.store(va.mul(cos).sub(vb.mul(sin)), x, a + 4L * c);
      Lanes.store(vb.mul(cos).add(va.mul(sin)), x, b + 4L * c);
    }
    return c;
  }

  /** As {@link #halves}. */
  private static int adjacent(MemorySegment x, long a, Matrix cosine, Matrix sine, int position) {
    int half = cosine.columns();
    int c = 0;
    for (; c <= half - L / 2; c += L / 2) {
      FloatVector cos = twice(cosine, position, c);
      FloatVector sin = twice(sine, position, c);
      FloatVector v = Lanes.load(x, a + 8L * c);
      FloatVector turned = v.rearrange(SWAP).mul(sin);
      Lanes.store(v.mul(cos).add(turned.lanewise(NEG, EVEN)), x, a + 8L * c);
    }
    return c;
  }

  private static FloatVector twice(Matrix angles, int position, int c) {
    return Functions.load(angles.segment(), angles.at(position, c), LOWER).rearrange(TWICE);
  }

  private static void rest(
      MemorySegment x,
      long at,
      RopePairs pairs,
      Matrix cosine,
      Matrix sine,
      int position,
      int done) {
    int half = cosine.columns();
    for (int c = done; c < half; c++) {
      float cos = cosine.segment().get(Lanes.FLOAT, cosine.at(position, c));
      float sin = sine.segment().get(Lanes.FLOAT, sine.at(position, c));
      long a = at + 4L * pairs.first(c);
      long b = at + 4L * pairs.second(c, half);
      float va = x.get(Lanes.FLOAT, a);
      float vb = x.get(Lanes.FLOAT, b);
      x.set(Lanes.FLOAT, a, va * cos - vb * sin);
      x.set(Lanes.FLOAT, b, vb * cos + va * sin);
    }
  }
}
