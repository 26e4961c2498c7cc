package dev.gptq.reference;

import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.util.Arrays;

/** Linear algebra by its definitions, summed in float64 and rounded once. */
final class ReferenceLinearAlgebra implements LinearAlgebra {

  @Override
  public void gemm(float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    int m = a.rows();
    int k = a.columns();
    int n = b.columns();
    float[] av = RowArrays.load(a);
    float[] bv = RowArrays.load(b);
    // With beta = 0 the old contents, perhaps NaN, must not take part.
    float[] cv = beta == 0 ? new float[m * n] : RowArrays.load(c);
    double[] sums = new double[n];
    for (int i = 0; i < m; i++) {
      Arrays.fill(sums, 0);
      for (int l = 0; l < k; l++) {
        double ail = av[i * k + l];
        for (int j = 0; j < n; j++) {
          sums[j] += ail * bv[l * n + j];
        }
      }
      for (int j = 0; j < n; j++) {
        cv[i * n + j] = (float) (alpha * sums[j] + (double) beta * cv[i * n + j]);
      }
    }
    RowArrays.store(cv, c);
  }

  @Override
  public void accumulateGram(float weight, Tensor x, Tensor h) {
    int tokens = x.rows();
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    float[] hv = RowArrays.load(h);
    double[] sums = new double[n];
    for (int i = 0; i < n; i++) {
      Arrays.fill(sums, 0);
      for (int t = 0; t < tokens; t++) {
        double xi = xv[t * n + i];
        for (int j = 0; j <= i; j++) {
          sums[j] += xi * xv[t * n + j];
        }
      }
      for (int j = 0; j <= i; j++) {
        hv[i * n + j] = (float) (hv[i * n + j] + weight * sums[j]);
      }
    }
    RowArrays.store(hv, h);
  }

  @Override
  public void symmetrize(Tensor h) {
    int n = h.rows();
    float[] hv = RowArrays.load(h);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        hv[j * n + i] = hv[i * n + j];
      }
    }
    RowArrays.store(hv, h);
  }

  @Override
  public void diagonal(Tensor h, Tensor d) {
    int n = h.rows();
    float[] hv = RowArrays.load(h);
    float[] dv = new float[n];
    for (int j = 0; j < n; j++) {
      dv[j] = hv[j * n + j];
    }
    RowArrays.store(dv, d);
  }

  @Override
  public void addToDiagonal(Tensor d, Tensor h) {
    int n = h.rows();
    float[] hv = RowArrays.load(h);
    float[] dv = RowArrays.load(d);
    for (int j = 0; j < n; j++) {
      hv[j * n + j] += dv[j];
    }
    RowArrays.store(hv, h);
  }

  @Override
  public void gatherColumns(Tensor src, Tensor index, Tensor dst) {
    int[] from = RowArrays.loadInts(index);
    if (src.type() == DType.U8) {
      RowArrays.storeBytes(gather(RowArrays.loadInts(src), src, from), dst);
    } else if (src.type() == DType.I32) {
      RowArrays.storeInts(gather(RowArrays.loadInts(src), src, from), dst);
    } else {
      float[] sv = RowArrays.load(src);
      float[] dv = new float[src.rows() * from.length];
      for (int r = 0, i = 0; r < src.rows(); r++) {
        for (int j : from) {
          dv[i++] = sv[r * src.columns() + j];
        }
      }
      RowArrays.store(dv, dst);
    }
  }

  private static int[] gather(int[] src, Tensor shape, int[] from) {
    int[] dst = new int[shape.rows() * from.length];
    for (int r = 0, i = 0; r < shape.rows(); r++) {
      for (int j : from) {
        dst[i++] = src[r * shape.columns() + j];
      }
    }
    return dst;
  }

  @Override
  public void gatherSymmetric(Tensor h, Tensor index, Tensor dst) {
    int n = h.rows();
    int[] from = RowArrays.loadInts(index);
    float[] hv = RowArrays.load(h);
    float[] dv = new float[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        dv[i * n + j] = hv[from[i] * n + from[j]];
      }
    }
    RowArrays.store(dv, dst);
  }

  @Override
  public void zeroColumns(Tensor index, Tensor w) {
    float[] wv = RowArrays.load(w);
    for (int j : RowArrays.loadInts(index)) {
      for (int r = 0; r < w.rows(); r++) {
        wv[r * w.columns() + j] = 0;
      }
    }
    RowArrays.store(wv, w);
  }

  @Override
  public void cholesky(Tensor h) {
    int n = h.rows();
    float[] hv = RowArrays.load(h);
    double[] l = new double[n * n];
    // From the last column to the first: H[i][j] = Σ_k L[k][i]·L[k][j] over k ≥ i ≥ j.
    for (int i = n - 1; i >= 0; i--) {
      for (int j = i; j >= 0; j--) {
        double sum = hv[i * n + j];
        for (int k = i + 1; k < n; k++) {
          sum -= l[k * n + i] * l[k * n + j];
        }
        if (j < i) {
          l[i * n + j] = sum / l[i * n + i];
        } else if (sum > 0 && sum < Double.POSITIVE_INFINITY) {
          l[i * n + i] = Math.sqrt(sum);
        } else {
          throw new NotPositiveDefiniteException(n - i);
        }
      }
    }
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        hv[i * n + j] = (float) l[i * n + j];
      }
    }
    RowArrays.store(hv, h);
  }

  @Override
  public void invertDiagonalBlocks(Tensor v, Tensor u) {
    int n = v.rows();
    int width = u.columns();
    float[] vv = RowArrays.load(v);
    float[] uv = new float[n * width];
    for (int from = 0; from < n; from += width) {
      int size = Math.min(width, n - from);
      // Column by column, by back substitution: V·x = a unit vector.
      double[] x = new double[size];
      for (int c = 0; c < size; c++) {
        for (int i = c; i >= 0; i--) {
          double sum = i == c ? 1 : 0;
          for (int k = i + 1; k <= c; k++) {
            sum -= vv[(from + i) * n + from + k] * x[k];
          }
          x[i] = sum / vv[(from + i) * n + from + i];
          uv[(from + i) * width + c] = (float) x[i];
        }
      }
    }
    RowArrays.store(uv, u);
  }

  @Override
  public void addSumOfSquares(Tensor x, Tensor total) {
    double sum = 0;
    for (float v : RowArrays.load(x)) {
      sum += (double) v * v;
    }
    RowArrays.addToScalar(total, sum);
  }

  @Override
  public void addTraceQuadratic(Tensor a, Tensor h, Tensor total) {
    int n = a.columns();
    float[] av = RowArrays.load(a);
    float[] hv = RowArrays.load(h);
    double sum = 0;
    double[] ah = new double[n];
    for (int r = 0; r < a.rows(); r++) {
      Arrays.fill(ah, 0);
      for (int k = 0; k < n; k++) {
        double ark = av[r * n + k];
        for (int j = 0; j < n; j++) {
          ah[j] += ark * hv[k * n + j];
        }
      }
      for (int j = 0; j < n; j++) {
        sum += ah[j] * av[r * n + j];
      }
    }
    RowArrays.addToScalar(total, sum);
  }

  @Override
  public void addNonFiniteCount(Tensor x, Tensor total) {
    int count = 0;
    for (float v : RowArrays.load(x)) {
      count += Float.isFinite(v) ? 0 : 1;
    }
    RowArrays.addToScalar(total, count);
  }

  @Override
  public void rowDots(Tensor a, Tensor b, Tensor out) {
    float[] av = RowArrays.load(a);
    float[] bv = RowArrays.load(b);
    float[] sums = new float[Math.toIntExact(out.elements())];
    int run = a.columns() / out.columns();
    for (int s = 0, i = 0; s < sums.length; s++) {
      double sum = 0;
      for (int k = 0; k < run; k++, i++) {
        sum += (double) av[i] * bv[i];
      }
      sums[s] = (float) sum;
    }
    RowArrays.store(sums, out);
  }

  @Override
  public void replaceRows(Tensor challenger, Tensor incumbent, Tensor from, Tensor to) {
    float[] cv = RowArrays.load(challenger);
    float[] iv = RowArrays.load(incumbent);
    if (from.type() == DType.U8) {
      int[] values = RowArrays.loadInts(to);
      int[] replacement = RowArrays.loadInts(from);
      forReplaced(cv, iv, from.columns(), (i, n) -> System.arraycopy(replacement, i, values, i, n));
      RowArrays.storeBytes(values, to);
    } else {
      float[] values = RowArrays.load(to);
      float[] replacement = RowArrays.load(from);
      forReplaced(cv, iv, from.columns(), (i, n) -> System.arraycopy(replacement, i, values, i, n));
      RowArrays.store(values, to);
    }
  }

  /** Where a row begins and how long it is. */
  private interface RowCopy {
    void copy(int from, int length);
  }

  private static void forReplaced(
      float[] challenger, float[] incumbent, int columns, RowCopy copy) {
    for (int r = 0; r < challenger.length; r++) {
      if (challenger[r] < incumbent[r]) {
        copy.copy(r * columns, columns);
      }
    }
  }

  @Override
  public void axpy(float alpha, Tensor x, Tensor y) {
    float[] xv = RowArrays.load(x);
    float[] yv = RowArrays.load(y);
    for (int i = 0; i < yv.length; i++) {
      yv[i] = (float) (yv[i] + (double) alpha * xv[i]);
    }
    RowArrays.store(yv, y);
  }

  @Override
  public void convert(Tensor src, Tensor dst) {
    RowArrays.store(RowArrays.load(src), dst);
  }
}
