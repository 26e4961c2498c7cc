package dev.gptq.reference;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.tensor.Tensor;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.DoubleUnaryOperator;

/** The forward pass by its formulas, in float64. */
final class ReferenceTransformerOps implements TransformerOps {

  @Override
  public void embed(Tensor table, Tensor tokens, Tensor x) {
    gatherRows(table, tokens, x);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y) {
    int n = gain.columns();
    float[] xv = RowArrays.load(x);
    float[] g = RowArrays.load(gain);
    for (int from = 0; from < xv.length; from += n) {
      double squares = 0;
      for (int c = 0; c < n; c++) {
        squares += (double) xv[from + c] * xv[from + c];
      }
      double factor = 1 / Math.sqrt(squares / n + epsilon);
      for (int c = 0; c < n; c++) {
        xv[from + c] = (float) (xv[from + c] * factor * g[c]);
      }
    }
    RowArrays.store(xv, y);
  }

  @Override
  public void layerNorm(Tensor x, Tensor gain, Tensor bias, float epsilon, Tensor y) {
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    float[] g = RowArrays.load(gain);
    float[] b = RowArrays.load(bias);
    for (int from = 0; from < xv.length; from += n) {
      double mean = 0;
      for (int c = 0; c < n; c++) {
        mean += xv[from + c];
      }
      mean /= n;
      double squares = 0;
      for (int c = 0; c < n; c++) {
        squares += (xv[from + c] - mean) * (xv[from + c] - mean);
      }
      double factor = 1 / Math.sqrt(squares / n + epsilon);
      for (int c = 0; c < n; c++) {
        xv[from + c] = (float) ((xv[from + c] - mean) * factor * g[c] + b[c]);
      }
    }
    RowArrays.store(xv, y);
  }

  @Override
  public void rope(
      Tensor x,
      int headSize,
      RopePairs pairs,
      Tensor cosine,
      Tensor sine,
      int firstPosition,
      int sequences) {
    int half = cosine.columns();
    int length = x.rows() / sequences;
    float[] xv = RowArrays.load(x);
    float[] cos = RowArrays.load(cosine);
    float[] sin = RowArrays.load(sine);
    for (int t = 0; t < x.rows(); t++) {
      int position = (firstPosition + t % length) * half;
      for (int head = t * x.columns(); head < (t + 1) * x.columns(); head += headSize) {
        for (int c = 0; c < half; c++) {
          int first = head + pairs.first(c);
          int second = head + pairs.second(c, half);
          double a = xv[first];
          double b = xv[second];
          xv[first] = (float) (a * cos[position + c] - b * sin[position + c]);
          xv[second] = (float) (b * cos[position + c] + a * sin[position + c]);
        }
      }
    }
    RowArrays.store(xv, x);
  }

  @Override
  public void attention(
      Tensor q,
      Tensor k,
      Tensor v,
      AttentionSpec spec,
      Optional<Tensor> sinks,
      int sequences,
      Tensor y) {
    int queries = q.rows() / sequences;
    int keys = k.rows() / sequences;
    int size = spec.headSize();
    int share = spec.heads() / spec.keyValueHeads();
    float[] qv = RowArrays.load(q);
    float[] kv = RowArrays.load(k);
    float[] vv = RowArrays.load(v);
    Optional<float[]> sinkScores = sinks.map(RowArrays::load);
    float[] yv = new float[qv.length];
    double[] scores = new double[keys];
    for (int s = 0; s < sequences; s++) {
      for (int head = 0; head < spec.heads(); head++) {
        int h = head;
        double sink = sinkScores.map(all -> (double) all[h]).orElse(Double.NEGATIVE_INFINITY);
        for (int i = 0; i < queries; i++) {
          int position = keys - queries + i;
          int first = spec.window() > 0 ? Math.max(0, position - spec.window() + 1) : 0;
          int qFrom = (s * queries + i) * q.columns() + head * size;
          for (int j = first; j <= position; j++) {
            int kFrom = (s * keys + j) * k.columns() + head / share * size;
            double score = 0;
            for (int c = 0; c < size; c++) {
              score += (double) qv[qFrom + c] * kv[kFrom + c];
            }
            score *= spec.scale();
            if (spec.softCap() > 0) {
              score = spec.softCap() * Math.tanh(score / spec.softCap());
            }
            if (spec.alibi() != 0) {
              score += spec.alibiSlope(head) * (double) (j - position);
            }
            scores[j] = score;
          }
          softmax(scores, first, position + 1, sink);
          double[] sum = new double[size];
          for (int j = first; j <= position; j++) {
            int vFrom = (s * keys + j) * v.columns() + head / share * size;
            for (int c = 0; c < size; c++) {
              sum[c] += scores[j] * vv[vFrom + c];
            }
          }
          for (int c = 0; c < size; c++) {
            yv[qFrom + c] = (float) sum[c];
          }
        }
      }
    }
    RowArrays.store(yv, y);
  }

  /** The softmax of values and one more, which is not among the results. */
  private static void softmax(double[] values, int from, int to, double sink) {
    double max = sink;
    for (int j = from; j < to; j++) {
      max = Math.max(max, values[j]);
    }
    double sum = Math.exp(sink - max);
    for (int j = from; j < to; j++) {
      values[j] = Math.exp(values[j] - max);
      sum += values[j];
    }
    for (int j = from; j < to; j++) {
      values[j] /= sum;
    }
  }

  @Override
  public void convolve(Tensor x, Tensor weight, int sequences, Tensor y) {
    ReferenceRecurrence.convolve(x, weight, sequences, y);
  }

  @Override
  public void decay(Tensor x, Tensor shift, Tensor rate, Tensor y) {
    ReferenceRecurrence.decay(x, shift, rate, y);
  }

  @Override
  public void deltaRule(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor decay,
      Tensor beta,
      Tensor state,
      int sequences,
      Tensor y) {
    ReferenceRecurrence.deltaRule(q, k, v, decay, beta, state, sequences, y);
  }

  @Override
  public void softplus(Tensor x, Tensor shift, float low, float high, Tensor y) {
    ReferenceRecurrence.softplus(x, shift, low, high, y);
  }

  @Override
  public void stateSpace(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor step,
      Tensor rate,
      Tensor state,
      int sequences,
      Tensor y) {
    ReferenceRecurrence.stateSpace(q, k, v, step, rate, state, sequences, y);
  }

  @Override
  public void activate(Activation f, Tensor x, Tensor y) {
    map(x, function(f), y);
  }

  @Override
  public void gate(Activation f, Tensor gate, Tensor up, Tensor y) {
    DoubleUnaryOperator function = function(f);
    float[] g = RowArrays.load(gate);
    float[] u = RowArrays.load(up);
    for (int i = 0; i < g.length; i++) {
      g[i] = (float) (function.applyAsDouble(g[i]) * u[i]);
    }
    RowArrays.store(g, y);
  }

  private static DoubleUnaryOperator function(Activation f) {
    return switch (f) {
      case SILU -> x -> x / (1 + Math.exp(-x));
      case GELU -> x -> 0.5 * x * ErrorFunction.complement(-x / Math.sqrt(2));
      case GELU_TANH ->
          x -> 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
      case RELU -> x -> Math.max(x, 0);
      case RELU_SQUARED -> x -> Math.max(x, 0) * Math.max(x, 0);
      case IDENTITY -> x -> x;
      case SIGMOID -> x -> 1 / (1 + Math.exp(-x));
      case ELU_EXCESS -> x -> x < 0 ? Math.expm1(x) - x : 0;
    };
  }

  @Override
  public void add(Tensor x, Tensor y) {
    float[] xv = RowArrays.load(x);
    float[] yv = RowArrays.load(y);
    for (int i = 0; i < yv.length; i++) {
      yv[i] += xv[i];
    }
    RowArrays.store(yv, y);
  }

  @Override
  public void addBias(Tensor bias, Tensor y) {
    float[] b = RowArrays.load(bias);
    float[] yv = RowArrays.load(y);
    for (int i = 0; i < yv.length; i++) {
      yv[i] += b[i % b.length];
    }
    RowArrays.store(yv, y);
  }

  @Override
  public void scale(float factor, Tensor x) {
    map(x, v -> factor * v, x);
  }

  @Override
  public void clamp(float low, float high, Tensor x) {
    map(x, v -> Math.min(Math.max(v, low), high), x);
  }

  @Override
  public void softCap(float cap, Tensor x) {
    map(x, v -> cap * Math.tanh(v / cap), x);
  }

  @Override
  public void gatherRows(Tensor x, Tensor index, Tensor y) {
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    int[] from = RowArrays.loadInts(index);
    float[] yv = new float[from.length * n];
    for (int t = 0; t < from.length; t++) {
      System.arraycopy(xv, from[t] * n, yv, t * n, n);
    }
    RowArrays.store(yv, y);
  }

  @Override
  public void scatterAddRows(Tensor x, Tensor index, Tensor weight, Tensor y) {
    int n = x.columns();
    float[] xv = RowArrays.load(x);
    float[] weights = RowArrays.load(weight);
    int[] to = RowArrays.loadInts(index);
    float[] yv = RowArrays.load(y);
    for (int t = 0; t < to.length; t++) {
      for (int c = 0; c < n; c++) {
        yv[to[t] * n + c] = (float) (yv[to[t] * n + c] + (double) weights[t] * xv[t * n + c]);
      }
    }
    RowArrays.store(yv, y);
  }

  @Override
  public void crossEntropy(Tensor logits, Tensor targets, Tensor loss) {
    int n = logits.columns();
    float[] lv = RowArrays.load(logits);
    int[] target = RowArrays.loadInts(targets);
    float[] losses = new float[target.length];
    for (int t = 0; t < target.length; t++) {
      float[] row = Arrays.copyOfRange(lv, t * n, (t + 1) * n);
      double max = Double.NEGATIVE_INFINITY;
      for (float v : row) {
        max = Math.max(max, v);
      }
      double sum = 0;
      for (float v : row) {
        sum += Math.exp(v - max);
      }
      losses[t] = (float) (Math.log(sum) + max - row[target[t]]);
    }
    RowArrays.store(losses, loss);
  }

  @Override
  public void divergence(Tensor logits, Tensor base, Tensor targets, Tensor found) {
    int n = logits.columns();
    float[] l = RowArrays.load(logits);
    float[] b = RowArrays.load(base);
    int[] target = RowArrays.loadInts(targets);
    int count = target.length;
    float[] values = new float[4 * count];
    for (int t = 0; t < count; t++) {
      int from = t * n;
      int top = first(l, from, n);
      int topOfBase = first(b, from, n);
      double ln = lnSum(l, from, n, l[top]);
      double lnOfBase = lnSum(b, from, n, b[topOfBase]);
      double divergence = 0;
      for (int i = from; i < from + n; i++) {
        double lnP = b[i] - lnOfBase;
        double p = Math.exp(lnP);
        divergence += p == 0 ? 0 : p * (lnP - (l[i] - ln));
      }
      double loss = lnOfBase - b[from + target[t]];
      values[t] = (float) divergence;
      values[count + t] = (float) loss;
      values[2 * count + t] = (float) (ln - l[from + target[t]] - loss);
      values[3 * count + t] = top == topOfBase ? 1 : 0;
    }
    RowArrays.store(values, found);
  }

  /** The first of the largest elements. */
  private static int first(float[] x, int from, int count) {
    int first = from;
    for (int i = from + 1; i < from + count; i++) {
      first = x[i] > x[first] ? i : first;
    }
    return first;
  }

  private static double lnSum(float[] x, int from, int count, double most) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += Math.exp(x[i] - most);
    }
    return Math.log(sum) + most;
  }

  private static void map(Tensor x, DoubleUnaryOperator f, Tensor y) {
    float[] v = RowArrays.load(x);
    for (int i = 0; i < v.length; i++) {
      v[i] = (float) f.applyAsDouble(v[i]);
    }
    RowArrays.store(v, y);
  }
}
