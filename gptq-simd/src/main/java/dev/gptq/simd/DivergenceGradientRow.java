package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;

/** One position of {@link dev.gptq.backend.GradientOps#divergenceGradient}. */
final class DivergenceGradientRow {
  /** Vectors whose terms a lane adds up before they are widened. */
  private static final int RUN = 64;

  private DivergenceGradientRow() {}

  /** {@code d ← softmax(l) − softmax(b)} in row t; returns {@code KL(b ‖ l)}. */
  static double run(Matrix l, Matrix b, Matrix d, int t) {
    int n = l.columns();
    long at = l.at(t, 0);
    long ofBase = b.at(t, 0);
    long to = d.at(t, 0);
    float most = Softmax.max(l.segment(), at, n);
    float mostOfBase = Softmax.max(b.segment(), ofBase, n);
    double sum = Softmax.sumExp(l.segment(), at, n, most);
    double sumOfBase = Softmax.sumExp(b.segment(), ofBase, n, mostOfBase);
    float share = (float) (1 / sum);
    float shareOfBase = (float) (1 / sumOfBase);
    double weighted = 0;
    int j = 0;
    while (j <= n - Lanes.COUNT) {
      int end = Math.min(Lanes.F.loopBound(n), j + RUN * Lanes.COUNT);
      FloatVector part = FloatVector.zero(Lanes.F);
      for (; j < end; j += Lanes.COUNT) {
        FloatVector x = Lanes.load(l.segment(), at + 4L * j).sub(most);
        FloatVector y = Lanes.load(b.segment(), ofBase + 4L * j).sub(mostOfBase);
        FloatVector p = VectorMath.exp(y).mul(shareOfBase);
        part = p.fma(y.sub(x), part);
        Lanes.store(VectorMath.exp(x).mul(share).sub(p), d.segment(), to + 4L * j);
      }
      weighted += Lanes.sum(part);
    }
    for (; j < n; j++) {
      float x = l.segment().get(Lanes.FLOAT, at + 4L * j) - most;
      float y = b.segment().get(Lanes.FLOAT, ofBase + 4L * j) - mostOfBase;
      double p = Math.exp(y) * shareOfBase;
      weighted += p * (y - x);
      d.segment().set(Lanes.FLOAT, to + 4L * j, (float) (Math.exp(x) * share - p));
    }
    return weighted + Math.log(sum) - Math.log(sumOfBase);
  }
}
