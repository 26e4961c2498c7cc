package dev.gptq.simd;

import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * {@code y ← α·W·x + β·y} for W with contiguous rows: a row of activations times dense weights,
 * which are read once and from where they lie. Four rows at a time, {@link Lanes#PARTS} columns of
 * each; a body for each width.
 */
final class Gemv {
  private static final int ROWS = 4;
  private static final long L = Lanes.BYTES;

  // Weights of a task: enough to pay for handing it out.
  private static final int GRAIN = 1 << 15;

  private final float alpha;
  private final Matrix w;
  private final Matrix x;
  private final float beta;
  private final Matrix y;

  private Gemv(float alpha, Matrix w, Matrix x, float beta, Matrix y) {
    this.alpha = alpha;
    this.w = w;
    this.x = x;
    this.beta = beta;
    this.y = y;
  }

  /** Whether {@code C ← α·A·Bᵀ + β·C} is a product for this class. */
  static boolean serves(Matrix a, Matrix bt, Matrix c) {
    return a.rows() == 1 && isDense(a) && isDense(bt) && isDense(c);
  }

  /** Whether all of m is there, in float32 and by rows. */
  static boolean isDense(Matrix m) {
    return m.type() == DType.F32
        && m.triangle() == Matrix.Triangle.FULL
        && (m.columnStride() == 1 || m.columns() == 1);
  }

  /** {@code y ← α·x·Wᵀ + β·y}; x and y are single rows. */
  static void run(WorkerPool pool, float alpha, Matrix x, Matrix w, float beta, Matrix y) {
    Gemv product = new Gemv(alpha, w, x, beta, y);
    int rows = Math.max(ROWS, GRAIN / Math.max(1, w.columns()) / ROWS * ROWS);
    pool.forEach(
        (w.rows() + rows - 1) / rows,
        (i, worker) -> product.rows(i * rows, Math.min(w.rows(), (i + 1) * rows)));
  }

  private void rows(int from, int to) {
    int r = from;
    for (; r <= to - ROWS; r += ROWS) {
      switch (Lanes.COUNT) {
        case 16 -> fourOfOneVector(r);
        case 8 -> fourOfTwoVectors(r);
        default -> {
          for (int i = r; i < r + ROWS; i++) {
            oneOfFourVectors(i);
          }
        }
      }
    }
    for (; r < to; r++) {
      store(r, Reductions.dot(w, r, x, 0));
    }
  }

  private void fourOfTwoVectors(int r) {
    MemorySegment ws = w.segment();
    MemorySegment xs = x.segment();
    long xAt = x.at(0, 0);
    long w0 = w.at(r, 0);
    long w1 = w.at(r + 1, 0);
    long w2 = w.at(r + 2, 0);
    long w3 = w.at(r + 3, 0);
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = s00;
    FloatVector s10 = s00;
    FloatVector s11 = s00;
    FloatVector s20 = s00;
    FloatVector s21 = s00;
    FloatVector s30 = s00;
    FloatVector s31 = s00;
    int n = w.columns();
    int j = 0;
    for (; j <= n - Lanes.PARTS; j += Lanes.PARTS) {
      long at = 4L * j;
      FloatVector x0 = Lanes.load(xs, xAt + at);
      FloatVector x1 = Lanes.load(xs, xAt + at + L);
      s00 = x0.fma(Lanes.load(ws, w0 + at), s00);
      s01 = x1.fma(Lanes.load(ws, w0 + at + L), s01);
      s10 = x0.fma(Lanes.load(ws, w1 + at), s10);
      s11 = x1.fma(Lanes.load(ws, w1 + at + L), s11);
      s20 = x0.fma(Lanes.load(ws, w2 + at), s20);
      s21 = x1.fma(Lanes.load(ws, w2 + at + L), s21);
      s30 = x0.fma(Lanes.load(ws, w3 + at), s30);
      s31 = x1.fma(Lanes.load(ws, w3 + at + L), s31);
    }
    store(r, (float) Lanes.sum(s00.add(s01)) + rest(r, j));
    store(r + 1, (float) Lanes.sum(s10.add(s11)) + rest(r + 1, j));
    store(r + 2, (float) Lanes.sum(s20.add(s21)) + rest(r + 2, j));
    store(r + 3, (float) Lanes.sum(s30.add(s31)) + rest(r + 3, j));
  }

  private void fourOfOneVector(int r) {
    MemorySegment ws = w.segment();
    MemorySegment xs = x.segment();
    long xAt = x.at(0, 0);
    long w0 = w.at(r, 0);
    long w1 = w.at(r + 1, 0);
    long w2 = w.at(r + 2, 0);
    long w3 = w.at(r + 3, 0);
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int n = w.columns();
    int j = 0;
    for (; j <= n - Lanes.PARTS; j += Lanes.PARTS) {
      long at = 4L * j;
      FloatVector v = Lanes.load(xs, xAt + at);
      s0 = v.fma(Lanes.load(ws, w0 + at), s0);
      s1 = v.fma(Lanes.load(ws, w1 + at), s1);
      s2 = v.fma(Lanes.load(ws, w2 + at), s2);
      s3 = v.fma(Lanes.load(ws, w3 + at), s3);
    }
    store(r, (float) Lanes.sum(s0.add(0f)) + rest(r, j));
    store(r + 1, (float) Lanes.sum(s1.add(0f)) + rest(r + 1, j));
    store(r + 2, (float) Lanes.sum(s2.add(0f)) + rest(r + 2, j));
    store(r + 3, (float) Lanes.sum(s3.add(0f)) + rest(r + 3, j));
  }

  private void oneOfFourVectors(int r) {
    MemorySegment ws = w.segment();
    MemorySegment xs = x.segment();
    long xAt = x.at(0, 0);
    long wAt = w.at(r, 0);
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int n = w.columns();
    int j = 0;
    for (; j <= n - Lanes.PARTS; j += Lanes.PARTS) {
      long at = 4L * j;
      s0 = Lanes.load(xs, xAt + at).fma(Lanes.load(ws, wAt + at), s0);
      s1 = Lanes.load(xs, xAt + at + L).fma(Lanes.load(ws, wAt + at + L), s1);
      s2 = Lanes.load(xs, xAt + at + 2 * L).fma(Lanes.load(ws, wAt + at + 2 * L), s2);
      s3 = Lanes.load(xs, xAt + at + 3 * L).fma(Lanes.load(ws, wAt + at + 3 * L), s3);
    }
    store(r, (float) Lanes.sum(s0.add(s2), s1.add(s3)) + rest(r, j));
  }

  /** The products of the columns from j on. */
  private double rest(int r, int j) {
    double sum = 0;
    for (int i = j; i < w.columns(); i++) {
      float value = w.segment().get(Lanes.FLOAT, w.at(r, i));
      sum += (double) value * x.segment().get(Lanes.FLOAT, x.at(0, i));
    }
    return sum;
  }

  private void store(int r, double sum) {
    long at = y.at(0, r);
    float old = beta == 0 ? 0 : beta * y.segment().get(Lanes.FLOAT, at);
    y.segment().set(Lanes.FLOAT, at, (float) (alpha * sum) + old);
  }
}
