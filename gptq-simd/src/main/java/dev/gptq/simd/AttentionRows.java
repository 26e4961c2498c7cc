package dev.gptq.simd;

import dev.gptq.backend.ScoreRows;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** The weights of attention and the gradient of its scores, row by row. */
final class AttentionRows {
  private AttentionRows() {}

  /**
   * Rows from … to − 1 of {@link dev.gptq.backend.GradientOps#attentionGradient}; weights hold the
   * biased scores, then the exponentials, then the weights.
   */
  static void run(
      Matrix scores,
      Matrix dWeights,
      int queries,
      ScoreRows rows,
      Matrix weights,
      Matrix dScores,
      int[] range) {
    int keys = scores.columns();
    for (int i = range[0]; i < range[1]; i++) {
      int query = i % queries;
      int first = rows.from(query);
      int count = rows.to(query, keys) - first;
      clear(weights, i, first, count);
      clear(dScores, i, first, count);
      MemorySegment w = weights.segment();
      long at = weights.at(i, first);
      MemorySegment.copy(scores.segment(), scores.at(i, first), w, at, 4L * count);
      if (rows.softCap() > 0) {
        Functions.softCap(rows.softCap(), weights.block(i, i + 1, first, first + count), 0, 1);
      }
      if (rows.slope() != 0) {
        addSlope(w, at, count, rows.slope(), first - rows.first() - query);
      }
      float most = Math.max(rows.sink(), Softmax.max(w, at, count));
      double total = Softmax.expInPlace(w, at, count, most) + Math.exp(rows.sink() - most);
      Matrix own = weights.block(i, i + 1, first, first + count);
      Elementwise.scale((float) (1 / total), own, 0, 1);
      Matrix dw = dWeights.block(i, i + 1, first, first + count);
      float mean = (float) Reductions.dot(own, 0, dw, 0);
      Matrix s = scores.block(i, i + 1, first, first + count);
      Matrix out = dScores.block(i, i + 1, first, first + count);
      differentiate(own, dw, mean, s, rows.softCap(), out);
    }
  }

  /** Zeros for the keys that a query does not see. */
  private static void clear(Matrix m, int row, int first, int count) {
    m.segment().asSlice(m.at(row, 0), 4L * first).fill((byte) 0);
    int rest = m.columns() - first - count;
    m.segment().asSlice(m.at(row, first + count), 4L * rest).fill((byte) 0);
  }

  private static void addSlope(MemorySegment w, long at, int count, float slope, int distance) {
    for (int c = 0; c < count; c++) {
      float score = w.get(Lanes.FLOAT, at + 4L * c);
      w.set(Lanes.FLOAT, at + 4L * c, score + slope * (distance + c));
    }
  }

  private static void differentiate(
      Matrix p, Matrix dw, float mean, Matrix scores, float cap, Matrix out) {
    int n = p.columns();
    for (int j = 0; j < n; j += Lanes.COUNT) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
      FloatVector own = Functions.load(p.segment(), p.at(0, j), mask);
      FloatVector d = own.mul(Functions.load(dw.segment(), dw.at(0, j), mask).sub(mean));
      if (cap > 0) {
        FloatVector s = Functions.load(scores.segment(), scores.at(0, j), mask);
        FloatVector tanh = VectorMath.tanh(s.div(cap));
        d = d.mul(FloatVector.broadcast(Lanes.F, 1f).sub(tanh.mul(tanh)));
      }
      Functions.store(d, out.segment(), out.at(0, j), mask);
    }
  }
}
