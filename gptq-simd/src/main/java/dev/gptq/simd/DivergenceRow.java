package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * One position of {@link dev.gptq.backend.TransformerOps#divergence}. With {@code v = ln(q/p)} but
 * for a constant, {@code c = Σ p·v} and {@code u = v − c} the divergence is
 *
 * <pre>
 *   ln Σ p·e^u = ln(1 + Σ p·(e^u − 1 − u))
 * </pre>
 *
 * <p>whose terms are not negative, so that nothing cancels; an error of c comes in multiplied by
 * the sum. Where the divergence is large, {@code e^u} may overflow and the logarithms of sums do
 * not cancel.
 */
final class DivergenceRow {
  /** Terms of which each partial sum has at most 64 before it is widened. */
  private static final int STRETCH = 64 * Lanes.PARTS;

  /** Divergences above are differences of logarithms. */
  private static final double NEAR = 0.5;

  /** {@code e^x} of less counts as nothing. */
  private static final float LEAST = -87f;

  private final Matrix l;
  private final Matrix b;
  private final long at;
  private final long ofBase;
  private final int count;
  private final float most;
  private final float mostOfBase;
  private final float shift;
  private float mean;

  private DivergenceRow(Matrix l, Matrix b, int t) {
    this.l = l;
    this.b = b;
    this.at = l.at(t, 0);
    this.ofBase = b.at(t, 0);
    this.count = l.columns();
    this.most = Softmax.max(l.segment(), at, count);
    this.mostOfBase = Softmax.max(b.segment(), ofBase, count);
    this.shift = most - mostOfBase;
  }

  /** Writes column t of {@code out}. */
  static void run(Matrix l, Matrix b, int target, Matrix out, int t) {
    DivergenceRow row = new DivergenceRow(l, b, t);
    double sum = Softmax.sumExp(l.segment(), row.at, row.count, row.most);
    double sumOfBase = Softmax.sumExp(b.segment(), row.ofBase, row.count, row.mostOfBase);
    row.mean = (float) (row.sum(false) / sumOfBase);
    double excess = row.sum(true);
    double plain = Math.log(sum / sumOfBase) - row.mean;
    boolean near = plain <= NEAR;
    double divergence = near ? Math.log1p(excess / sumOfBase) : plain;
    float logit = l.segment().get(Lanes.FLOAT, row.at + 4L * target);
    float logitOfBase = b.segment().get(Lanes.FLOAT, row.ofBase + 4L * target);
    double loss = Math.log(sumOfBase) - (logitOfBase - row.mostOfBase);
    put(out, 0, t, divergence);
    put(out, 1, t, loss);
    put(
        out,
        2,
        t,
        near
            ? divergence - ((logit - logitOfBase) - row.shift - row.mean)
            : Math.log(sum) - (logit - row.most) - loss);
    put(out, 3, t, row.sameTop() ? 1 : 0);
  }

  private static void put(Matrix out, int row, int t, double value) {
    out.segment().set(Lanes.FLOAT, out.at(row, t), (float) value);
  }

  private boolean sameTop() {
    return Softmax.first(l.segment(), at, count, most)
        == Softmax.first(b.segment(), ofBase, count, mostOfBase);
  }

  /** {@code Σ p·(e^u − 1 − u)} or {@code Σ p·v}, p not yet divided by its sum. */
  private double sum(boolean excess) {
    double total = 0;
    for (int j = 0; j < count; j += STRETCH) {
      total += terms(excess, j, Math.min(STRETCH, count - j));
    }
    return total;
  }

  private double terms(boolean excess, int from, int terms) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    for (int j = from; j < from + terms; j += Lanes.COUNT) {
      FloatVector sum = s0.add(term(excess, j));
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
    return Lanes.COUNT == 4 ? Lanes.sum(s0.add(s2), s1.add(s3)) : Lanes.sum(s0.add(s1));
  }

  private FloatVector term(boolean excess, int j) {
    FloatVector x = load(l, at, j);
    FloatVector y = load(b, ofBase, j);
    FloatVector p = power(y.sub(mostOfBase));
    FloatVector v = x.sub(y).sub(shift);
    VectorMask<Float> none = p.compare(VectorOperators.EQ, 0f);
    if (!excess) {
      return p.mul(v).blend(0f, none);
    }
    FloatVector u = v.sub(mean);
    FloatVector near = p.mul(u).mul(u.mul(VectorMath.excessOverSquare(u)));
    FloatVector far = power(x.sub(most).sub(mean)).sub(p.mul(u.add(1f)).blend(0f, none));
    return far.blend(near, u.abs().compare(VectorOperators.LE, 0.5f));
  }

  /** Logits, and −∞ after the last. */
  private FloatVector load(Matrix m, long row, int j) {
    if (j <= count - Lanes.COUNT) {
      return Lanes.load(m.segment(), row + 4L * j);
    }
    VectorMask<Float> mask = Lanes.F.indexInRange(j, count);
    FloatVector x = Functions.load(m.segment(), row + 4L * j, mask);
    return x.blend(Float.NEGATIVE_INFINITY, mask.not());
  }

  /** {@code e^x}, and 0 where that is next to nothing. */
  private static FloatVector power(FloatVector x) {
    return VectorMath.exp(x).blend(0f, x.compare(VectorOperators.LT, LEAST));
  }
}
