package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class OptimalBrainQuantizerTest {

  /** {@code [[.42, −.02], [−.02, .76]]⁻¹ = [[1900, 50], [50, 1050]]/797}. */
  private static final double[][] INVERSE_OF_TWO = {
    {1900.0 / 797, 50.0 / 797}, {50.0 / 797, 1050.0 / 797}
  };

  private static double sign(double w) {
    return w < 0 ? -1 : 1;
  }

  @Test
  void workedExampleOfTwoColumns() {
    OptimalBrainQuantizer.Row first =
        OptimalBrainQuantizer.quantize(
            new double[] {0.8, -0.5}, INVERSE_OF_TWO, OptimalBrainQuantizerTest::sign);
    assertThat(first.values().toArray()).containsExactly(1, -1);
    assertThat(first.order().toArray()).containsExactly(0, 1);
    assertThat(first.loss()).isCloseTo(0.1054, within(1e-12));
    OptimalBrainQuantizer.Row second =
        OptimalBrainQuantizer.quantize(
            new double[] {0.3, 0.7}, INVERSE_OF_TWO, OptimalBrainQuantizerTest::sign);
    assertThat(second.values().toArray()).containsExactly(1, 1);
    assertThat(second.order().toArray()).containsExactly(1, 0);
    assertThat(second.loss()).isCloseTo(0.1329, within(1e-12));
  }

  /** The greedy order finds what no natural order finds, and what a full search confirms. */
  @Test
  void workedExampleOfThreeColumns() {
    double[][] h = {{6, 10, 2}, {10, 26, 10}, {2, 10, 10}};
    double[][] inverse = {
      {5 / 8.0, -5 / 16.0, 3 / 16.0},
      {-5 / 16.0, 7 / 32.0, -5 / 32.0},
      {3 / 16.0, -5 / 32.0, 7 / 32.0}
    };
    double[] w = {-1.4, -0.1, 0.6};
    DoubleUnaryOperator grid = v -> Math.clamp(Math.rint(v), -2, 1) + 0.0;
    OptimalBrainQuantizer.Row row = OptimalBrainQuantizer.quantize(w, inverse, grid);
    assertThat(row.values().toArray()).containsExactly(-2, 0, 1);
    assertThat(row.order().toArray()).containsExactly(1, 0, 2);
    assertThat(row.loss()).isCloseTo(1.33, within(1e-12));
    double least = Double.POSITIVE_INFINITY;
    for (int code = 0; code < 64; code++) {
      double[] v = {code % 4 - 2, code / 4 % 4 - 2, code / 16 - 2};
      least = Math.min(least, loss(w, v, h));
    }
    assertThat(row.loss()).isCloseTo(least, within(1e-12));
  }

  /** The sum of the steps' losses is the loss of the result. */
  @Test
  void lossesAddUp() {
    Random random = new Random(4);
    for (int n : new int[] {1, 2, 5, 9}) {
      double[][] h = gram(random, n);
      double[] w = random.doubles(n, -2, 2).toArray();
      OptimalBrainQuantizer.Row row =
          OptimalBrainQuantizer.quantize(w, inverse(h), v -> Math.clamp(Math.rint(v), -1, 1));
      assertThat(row.loss())
          .isCloseTo(loss(w, row.values().toArray(), h), within(1e-9 * (1 + row.loss())));
      assertThat(row.order().toArray()).containsExactlyInAnyOrder(range(n));
    }
  }

  private static int[] range(int n) {
    return IntStream.range(0, n).toArray();
  }

  private static double loss(double[] w, double[] v, double[][] h) {
    double sum = 0;
    for (int i = 0; i < w.length; i++) {
      for (int j = 0; j < w.length; j++) {
        sum += 0.5 * (v[i] - w[i]) * h[i][j] * (v[j] - w[j]);
      }
    }
    return sum;
  }

  private static double[][] gram(Random random, int n) {
    double[][] h = new double[n][n];
    for (int t = 0; t < 2 * n; t++) {
      double[] x = random.doubles(n, -1, 1).toArray();
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          h[i][j] += x[i] * x[j];
        }
      }
    }
    return h;
  }

  /** By Gauss and Jordan. */
  private static double[][] inverse(double[][] h) {
    int n = h.length;
    double[][] a = new double[n][2 * n];
    for (int i = 0; i < n; i++) {
      System.arraycopy(h[i], 0, a[i], 0, n);
      a[i][n + i] = 1;
    }
    for (int k = 0; k < n; k++) {
      double pivot = a[k][k];
      for (int j = 0; j < 2 * n; j++) {
        a[k][j] /= pivot;
      }
      for (int i = 0; i < n; i++) {
        double factor = a[i][k];
        for (int j = 0; i != k && j < 2 * n; j++) {
          a[i][j] -= factor * a[k][j];
        }
      }
    }
    double[][] inverse = new double[n][];
    for (int i = 0; i < n; i++) {
      inverse[i] = Arrays.copyOfRange(a[i], n, 2 * n);
    }
    return inverse;
  }
}
