package dev.gptq.reference;

import dev.gptq.grid.GridSpec;

/** Least-squares scales of one row, in double: Cholesky factorisation and two substitutions. */
final class ScaleRefit {
  private static final double RIDGE = 1e-6;

  private ScaleRefit() {}

  /** Replaces the scales if that lowers the row's loss, and returns what it adds to that. */
  static double row(float[] normal, float[] gradient, GridSpec spec, float[] scale) {
    double[] step = solve(normal, gradient);
    if (step == null) {
      return 0;
    }
    int n = scale.length;
    float[] refitted = new float[n];
    double[] change = new double[n];
    for (int g = 0; g < n; g++) {
      float magnitude = (float) ((scale[g] + step[g]) * Math.signum(scale[g]));
      refitted[g] = Math.copySign(spec.roundScale(Math.max(magnitude, 0)), scale[g]);
      change[g] = (double) refitted[g] - scale[g];
    }
    double loss = 0;
    for (int g = 0; g < n; g++) {
      loss -= 2 * change[g] * gradient[g];
      for (int h = 0; h < g; h++) {
        loss += 2 * change[g] * change[h] * normal[index(g, h)];
      }
      loss += change[g] * change[g] * normal[index(g, g)];
    }
    if (loss < 0) {
      System.arraycopy(refitted, 0, scale, 0, n);
      return loss;
    }
    return 0;
  }

  /** The solution of the damped system, or null if it is not positive definite. */
  private static double[] solve(float[] normal, float[] gradient) {
    int n = gradient.length;
    double mean = 0;
    for (int g = 0; g < n; g++) {
      mean += (double) normal[index(g, g)] / n;
    }
    double[] l = new double[normal.length];
    double[] x = new double[n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = normal[index(i, j)] + (i == j ? RIDGE * mean : 0);
        for (int k = 0; k < j; k++) {
          sum -= l[index(i, k)] * l[index(j, k)];
        }
        if (i == j && !(sum > 0)) {
          return null;
        }
        l[index(i, j)] = i == j ? Math.sqrt(sum) : sum / l[index(j, j)];
      }
      double sum = gradient[i];
      for (int k = 0; k < i; k++) {
        sum -= l[index(i, k)] * x[k];
      }
      x[i] = sum / l[index(i, i)];
    }
    for (int i = n - 1; i >= 0; i--) {
      for (int k = i + 1; k < n; k++) {
        x[i] -= l[index(k, i)] * x[k];
      }
      x[i] /= l[index(i, i)];
    }
    return x;
  }

  private static int index(int row, int column) {
    return row * (row + 1) / 2 + column;
  }
}
