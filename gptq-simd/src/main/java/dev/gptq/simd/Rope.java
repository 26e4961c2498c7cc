package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** Rotary positions; see {@link dev.gptq.backend.TransformerOps#rope}. */
final class Rope {
  private Rope() {}

  /** Rotates all heads of row t by the angles at {@code position}. */
  static void rotate(Matrix x, int t, int headSize, Matrix cosine, Matrix sine, int position) {
    int half = cosine.columns();
    MemorySegment segment = x.segment();
    for (int head = 0; head < x.columns(); head += headSize) {
      long a = x.at(t, head);
      long b = a + 4L * half;
      int c = 0;
      for (; c <= half - Lanes.COUNT; c += Lanes.COUNT) {
        FloatVector cos = Lanes.load(cosine.segment(), cosine.at(position, c));
        FloatVector sin = Lanes.load(sine.segment(), sine.at(position, c));
        FloatVector va = Lanes.load(segment, a + 4L * c);
        FloatVector vb = Lanes.load(segment, b + 4L * c);
        Lanes.store(va.mul(cos).sub(vb.mul(sin)), segment, a + 4L * c);
        Lanes.store(vb.mul(cos).add(va.mul(sin)), segment, b + 4L * c);
      }
      for (; c < half; c++) {
        float cos = cosine.segment().get(Lanes.FLOAT, cosine.at(position, c));
        float sin = sine.segment().get(Lanes.FLOAT, sine.at(position, c));
        float va = segment.get(Lanes.FLOAT, a + 4L * c);
        float vb = segment.get(Lanes.FLOAT, b + 4L * c);
        segment.set(Lanes.FLOAT, a + 4L * c, va * cos - vb * sin);
        segment.set(Lanes.FLOAT, b + 4L * c, vb * cos + va * sin);
      }
    }
  }
}
