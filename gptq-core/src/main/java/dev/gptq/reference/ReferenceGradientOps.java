package dev.gptq.reference;

import dev.gptq.backend.Activation;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.ScoreRows;
import dev.gptq.tensor.Tensor;
import java.util.function.DoubleUnaryOperator;

/** Derivatives by their formulas, in float64. */
final class ReferenceGradientOps implements GradientOps {

  @Override
  public void rmsNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    int n = gain.columns();
    float[] xv = RowArrays.load(x);
    float[] g = RowArrays.load(gain);
    float[] d = RowArrays.load(dy);
    for (int from = 0; from < xv.length; from += n) {
      double squares = 0;
      double dot = 0;
      for (int c = 0; c < n; c++) {
        squares += (double) xv[from + c] * xv[from + c];
        dot += (double) g[c] * d[from + c] * xv[from + c];
      }
      double r = 1 / Math.sqrt(squares / n + epsilon);
      for (int c = 0; c < n; c++) {
        double h = (double) g[c] * d[from + c];
        d[from + c] = (float) (r * (h - xv[from + c] * r * r * dot / n));
      }
    }
    RowArrays.store(d, dx);
  }

  @Override
  public void layerNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx) {
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    float[] g = RowArrays.load(gain);
    float[] d = RowArrays.load(dy);
    for (int from = 0; from < xv.length; from += n) {
      double mean = 0;
      for (int c = 0; c < n; c++) {
        mean += xv[from + c];
      }
      mean /= n;
      double squares = 0;
      double sum = 0;
      double dot = 0;
      for (int c = 0; c < n; c++) {
        double h = (double) g[c] * d[from + c];
        squares += (xv[from + c] - mean) * (xv[from + c] - mean);
        sum += h;
        dot += h * (xv[from + c] - mean);
      }
      double r = 1 / Math.sqrt(squares / n + epsilon);
      for (int c = 0; c < n; c++) {
        double h = (double) g[c] * d[from + c];
        double z = r * (xv[from + c] - mean);
        d[from + c] = (float) (r * (h - sum / n - z * r * dot / n));
      }
    }
    RowArrays.store(d, dx);
  }

  @Override
  public void activateGradient(Activation f, Tensor x, Tensor dy, Tensor dx) {
    DoubleUnaryOperator derivative = derivative(f);
    float[] xv = RowArrays.load(x);
    float[] d = RowArrays.load(dy);
    for (int i = 0; i < d.length; i++) {
      d[i] = (float) (derivative.applyAsDouble(xv[i]) * d[i]);
    }
    RowArrays.store(d, dx);
  }

  private static DoubleUnaryOperator derivative(Activation f) {
    return switch (f) {
      case SILU -> x -> sigmoid(x) * (1 + x * (1 - sigmoid(x)));
      case GELU ->
          x ->
              0.5 * ErrorFunction.complement(-x / Math.sqrt(2))
                  + x * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
      case GELU_TANH ->
          x -> {
            double root = Math.sqrt(2 / Math.PI);
            double t = Math.tanh(root * (x + 0.044715 * x * x * x));
            return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
          };
      case RELU -> x -> x > 0 ? 1 : 0;
      case RELU_SQUARED -> x -> 2 * Math.max(x, 0);
      case IDENTITY -> x -> 1;
      case SIGMOID -> x -> sigmoid(x) * (1 - sigmoid(x));
      case ELU_EXCESS -> x -> x < 0 ? Math.expm1(x) : 0;
    };
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  public void attentionGradient(
      Tensor scores, Tensor dWeights, int queries, ScoreRows rows, Tensor weights, Tensor dScores) {
    int keys = scores.columns();
    float[] s = RowArrays.load(scores);
    float[] dw = RowArrays.load(dWeights);
    float[] w = new float[s.length];
    float[] ds = new float[s.length];
    for (int i = 0; i < scores.rows(); i++) {
      int query = i % queries;
      int from = rows.from(query);
      int to = rows.to(query, keys);
      double[] p = new double[keys];
      double most = rows.sink();
      for (int j = from; j < to; j++) {
        double score = s[i * keys + j];
        if (rows.softCap() > 0) {
          score = rows.softCap() * Math.tanh(score / rows.softCap());
        }
        p[j] = score + rows.slope() * (double) (j - rows.first() - query);
        most = Math.max(most, p[j]);
      }
      double sum = Math.exp(rows.sink() - most);
      for (int j = from; j < to; j++) {
        p[j] = Math.exp(p[j] - most);
        sum += p[j];
      }
      double mean = 0;
      for (int j = from; j < to; j++) {
        p[j] /= sum;
        mean += p[j] * dw[i * keys + j];
      }
      for (int j = from; j < to; j++) {
        double slope = 1;
        if (rows.softCap() > 0) {
          double t = Math.tanh(s[i * keys + j] / rows.softCap());
          slope = 1 - t * t;
        }
        w[i * keys + j] = (float) p[j];
        ds[i * keys + j] = (float) (p[j] * (dw[i * keys + j] - mean) * slope);
      }
    }
    RowArrays.store(w, weights);
    RowArrays.store(ds, dScores);
  }

  @Override
  public void crossEntropyGradient(Tensor logits, Tensor targets, Tensor dLogits) {
    int n = logits.columns();
    float[] l = RowArrays.load(logits);
    int[] target = RowArrays.loadInts(targets);
    for (int t = 0; t < target.length; t++) {
      double[] e = exponentials(l, t * n, n);
      double sum = sum(e);
      for (int c = 0; c < n; c++) {
        l[t * n + c] = (float) (e[c] / sum - (c == target[t] ? 1 : 0));
      }
    }
    RowArrays.store(l, dLogits);
  }

  @Override
  public void divergenceGradient(Tensor logits, Tensor base, Tensor divergence, Tensor dLogits) {
    int n = logits.columns();
    float[] l = RowArrays.load(logits);
    float[] b = RowArrays.load(base);
    float[] divergences = new float[logits.rows()];
    for (int t = 0; t < divergences.length; t++) {
      double[] q = exponentials(l, t * n, n);
      double[] p = exponentials(b, t * n, n);
      double sumQ = sum(q);
      double sumP = sum(p);
      double total = Math.log(sumQ) - Math.log(sumP);
      double mostL = most(l, t * n, n);
      double mostB = most(b, t * n, n);
      for (int c = 0; c < n; c++) {
        int i = t * n + c;
        total += p[c] / sumP * ((b[i] - mostB) - (l[i] - mostL));
        l[i] = (float) (q[c] / sumQ - p[c] / sumP);
      }
      divergences[t] = (float) total;
    }
    RowArrays.store(divergences, divergence);
    RowArrays.store(l, dLogits);
  }

  @Override
  public void sample(Tensor logits, Tensor uniform, Tensor targets) {
    int n = logits.columns();
    float[] l = RowArrays.load(logits);
    float[] u = RowArrays.load(uniform);
    int[] drawn = new int[u.length];
    for (int t = 0; t < u.length; t++) {
      double[] e = exponentials(l, t * n, n);
      double bound = u[t] * sum(e);
      int i = 0;
      for (double sum = e[0]; sum <= bound && i + 1 < n; sum += e[i]) {
        i++;
      }
      drawn[t] = i;
    }
    RowArrays.storeInts(drawn, targets);
  }

  /** {@code e^(x − max)}. */
  private static double[] exponentials(float[] x, int from, int count) {
    double most = most(x, from, count);
    double[] e = new double[count];
    for (int c = 0; c < count; c++) {
      e[c] = Math.exp(x[from + c] - most);
    }
    return e;
  }

  private static double most(float[] x, int from, int count) {
    double most = Double.NEGATIVE_INFINITY;
    for (int c = 0; c < count; c++) {
      most = Math.max(most, x[from + c]);
    }
    return most;
  }

  private static double sum(double[] values) {
    double sum = 0;
    for (double v : values) {
      sum += v;
    }
    return sum;
  }

  @Override
  public void addRowSquares(Tensor x, Tensor sums) {
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    float[] s = RowArrays.load(sums);
    for (int t = 0; t < s.length; t++) {
      double sum = s[t];
      for (int c = 0; c < n; c++) {
        sum += (double) xv[t * n + c] * xv[t * n + c];
      }
      s[t] = (float) sum;
    }
    RowArrays.store(s, sums);
  }
}
