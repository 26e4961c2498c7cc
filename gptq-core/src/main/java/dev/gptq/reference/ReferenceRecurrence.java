package dev.gptq.reference;

import dev.gptq.tensor.Tensor;

/** Convolutions and states that are carried from token to token, by their formulas. */
final class ReferenceRecurrence {
  private ReferenceRecurrence() {}

  static void convolve(Tensor x, Tensor weight, int sequences, Tensor y) {
    int columns = x.columns();
    int inputs = x.rows() / sequences;
    int outputs = y.rows() / sequences;
    int width = weight.rows();
    float[] xv = RowArrays.load(x);
    float[] w = RowArrays.load(weight);
    float[] yv = new float[y.rows() * columns];
    for (int r = 0; r < y.rows(); r++) {
      int first = r % outputs + inputs - outputs - width + 1;
      for (int c = 0; c < columns; c++) {
        double sum = 0;
        for (int j = Math.max(0, -first); j < width; j++) {
          int row = r / outputs * inputs + first + j;
          sum += (double) w[j * columns + c] * xv[row * columns + c];
        }
        yv[r * columns + c] = (float) sum;
      }
    }
    RowArrays.store(yv, y);
  }

  static void decay(Tensor x, Tensor shift, Tensor rate, Tensor y) {
    float[] xv = RowArrays.load(x);
    float[] shifts = RowArrays.load(shift);
    float[] rates = RowArrays.load(rate);
    for (int i = 0; i < xv.length; i++) {
      int c = i % rates.length;
      xv[i] = (float) Math.exp(-rates[c] * softplus((double) xv[i] + shifts[c]));
    }
    RowArrays.store(xv, y);
  }

  private static double softplus(double a) {
    return Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
  }

  static void softplus(Tensor x, Tensor shift, float low, float high, Tensor y) {
    float[] xv = RowArrays.load(x);
    float[] shifts = RowArrays.load(shift);
    for (int i = 0; i < xv.length; i++) {
      double value = softplus((double) xv[i] + shifts[i % shifts.length]);
      xv[i] = (float) Math.min(Math.max(value, low), high);
    }
    RowArrays.store(xv, y);
  }

  static void stateSpace(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor step,
      Tensor rate,
      Tensor state,
      int sequences,
      Tensor y) {
    int heads = step.columns();
    int keySize = state.rows() / (sequences * heads);
    int size = state.columns();
    int share = heads / (q.columns() / keySize);
    int length = q.rows() / sequences;
    float[] qv = RowArrays.load(q);
    float[] kv = RowArrays.load(k);
    float[] vv = RowArrays.load(v);
    float[] steps = RowArrays.load(step);
    float[] rates = RowArrays.load(rate);
    float[] stored = RowArrays.load(state);
    float[] yv = new float[vv.length];
    double[] s = new double[stored.length];
    for (int i = 0; i < s.length; i++) {
      s[i] = stored[i];
    }
    for (int t = 0; t < q.rows(); t++) {
      for (int head = 0; head < heads; head++) {
        int from = (t / length * heads + head) * keySize * size;
        int key = t * q.columns() + head / share * keySize;
        double dt = steps[t * heads + head];
        double kept = Math.exp(-rates[head] * dt);
        for (int j = 0; j < size; j++) {
          int value = (t * heads + head) * size + j;
          double sum = 0;
          for (int i = 0; i < keySize; i++) {
            int at = from + i * size + j;
            s[at] = kept * s[at] + kv[key + i] * dt * vv[value];
            sum += qv[key + i] * s[at];
          }
          yv[value] = (float) sum;
        }
      }
    }
    for (int i = 0; i < s.length; i++) {
      stored[i] = (float) s[i];
    }
    RowArrays.store(stored, state);
    RowArrays.store(yv, y);
  }

  static void deltaRule(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor decay,
      Tensor beta,
      Tensor state,
      int sequences,
      Tensor y) {
    int heads = decay.columns();
    int keySize = state.rows() / (sequences * heads);
    int size = state.columns();
    int share = heads / (q.columns() / keySize);
    int length = q.rows() / sequences;
    float[] qv = RowArrays.load(q);
    float[] kv = RowArrays.load(k);
    float[] vv = RowArrays.load(v);
    float[] gammas = RowArrays.load(decay);
    float[] betas = RowArrays.load(beta);
    float[] stored = RowArrays.load(state);
    float[] yv = new float[vv.length];
    double[] s = new double[stored.length];
    for (int i = 0; i < s.length; i++) {
      s[i] = stored[i];
    }
    for (int t = 0; t < q.rows(); t++) {
      for (int head = 0; head < heads; head++) {
        int from = (t / length * heads + head) * keySize * size;
        int key = t * q.columns() + head / share * keySize;
        for (int j = 0; j < size; j++) {
          int value = (t * heads + head) * size + j;
          double recalled = 0;
          for (int i = 0; i < keySize; i++) {
            s[from + i * size + j] *= gammas[t * heads + head];
            recalled += kv[key + i] * s[from + i * size + j];
          }
          double change = betas[t * heads + head] * (vv[value] - recalled);
          double sum = 0;
          for (int i = 0; i < keySize; i++) {
            s[from + i * size + j] += kv[key + i] * change;
            sum += qv[key + i] * s[from + i * size + j];
          }
          yv[value] = (float) sum;
        }
      }
    }
    for (int i = 0; i < s.length; i++) {
      stored[i] = (float) s[i];
    }
    RowArrays.store(stored, state);
    RowArrays.store(yv, y);
  }
}
