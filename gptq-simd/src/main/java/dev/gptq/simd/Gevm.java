package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * {@code y ← α·x·B + β·y} for a single row x and B with contiguous rows, as one query of attention
 * weighs its values: four vectors of columns at a time, down the rows of B.
 */
final class Gevm {
  private static final int COLUMNS = 4 * Lanes.COUNT;
  private static final long L = Lanes.BYTES;

  private final float alpha;
  private final Matrix x;
  private final Matrix b;
  private final float beta;
  private final Matrix y;

  private Gevm(float alpha, Matrix x, Matrix b, float beta, Matrix y) {
    this.alpha = alpha;
    this.x = x;
    this.b = b;
    this.beta = beta;
    this.y = y;
  }

  /** Whether {@code C ← α·A·B + β·C} is a product for this class. */
  static boolean serves(Matrix a, Matrix b, Matrix c) {
    return a.rows() == 1 && Gemv.isDense(a) && Gemv.isDense(b) && Gemv.isDense(c);
  }

  /** Runs; x and y are single rows. */
  static void run(WorkerPool pool, float alpha, Matrix x, Matrix b, float beta, Matrix y) {
    Gevm product = new Gevm(alpha, x, b, beta, y);
    pool.forEach(
        (b.columns() + COLUMNS - 1) / COLUMNS,
        (i, worker) -> {
          int from = i * COLUMNS;
          if (from + COLUMNS <= b.columns()) {
            product.vectors(from);
          } else {
            product.single(from, b.columns());
          }
        });
  }

  private void vectors(int column) {
    MemorySegment xs = x.segment();
    MemorySegment bs = b.segment();
    long xAt = x.at(0, 0);
    long step = 4 * b.rowStride();
    long row = b.at(0, column);
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    for (int k = 0; k < b.rows(); k++, row += step) {
      FloatVector factor = Lanes.broadcast(xs, xAt + 4L * k);
      s0 = factor.fma(Lanes.load(bs, row), s0);
      s1 = factor.fma(Lanes.load(bs, row + L), s1);
      s2 = factor.fma(Lanes.load(bs, row + 2 * L), s2);
      s3 = factor.fma(Lanes.load(bs, row + 3 * L), s3);
    }
    long at = y.at(0, column);
    store(s0, at);
    store(s1, at + L);
    store(s2, at + 2 * L);
    store(s3, at + 3 * L);
  }

  private void store(FloatVector sum, long at) {
    FloatVector old = beta == 0 ? FloatVector.zero(Lanes.F) : Lanes.load(y.segment(), at).mul(beta);
    Lanes.store(sum.mul(alpha).add(old), y.segment(), at);
  }

  private void single(int from, int to) {
    for (int j = from; j < to; j++) {
      // As in vectors: how many columns are left for here depends on the width.
      float sum = 0;
      for (int k = 0; k < b.rows(); k++) {
        float factor = x.segment().get(Lanes.FLOAT, x.at(0, k));
        sum = Math.fma(factor, b.segment().get(Lanes.FLOAT, b.at(k, j)), sum);
      }
      long at = y.at(0, j);
      float old = beta == 0 ? 0 : beta * y.segment().get(Lanes.FLOAT, at);
      y.segment().set(Lanes.FLOAT, at, alpha * sum + old);
    }
  }
}
