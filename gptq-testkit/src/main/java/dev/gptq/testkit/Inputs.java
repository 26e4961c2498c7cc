package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.DoubleStream;

/** Seeded inputs; {@code -Dgptq.test.seed=N} replays a failure. */
final class Inputs {
  /** The seed of this run. */
  static final long SEED = Long.getLong("gptq.test.seed", 20_260_101L);

  private final Random random;

  /** Inputs that depend on the seed and on the label only, not on the tests that ran before. */
  Inputs(String label) {
    this.random = new Random(SEED * 31 + label.hashCode());
  }

  /** Standard normal elements, float32, contiguous rows. */
  Matrix normal(int rows, int columns) {
    return normal(DType.F32, Layout.ROW_MAJOR, rows, columns);
  }

  /** Standard normal elements. */
  Matrix normal(DType type, Layout layout, int rows, int columns) {
    return new Matrix(type, layout, rows, columns, normals(rows * columns));
  }

  /** Elements with the given mean and deviation. */
  Matrix normal(DType type, int rows, int columns, double mean, double deviation) {
    double[] values =
        DoubleStream.of(normals(rows * columns)).map(v -> mean + deviation * v).toArray();
    return new Matrix(type, Layout.ROW_MAJOR, rows, columns, values);
  }

  /** Integers of {@code 0 … bound − 1}. */
  Matrix indices(int count, int bound) {
    return Matrix.row(random.ints(count, 0, bound).toArray());
  }

  /** The numbers {@code 0 … n − 1} in random order. */
  Matrix permutation(int n) {
    return Matrix.row(shuffled(n));
  }

  /** {@code count} different numbers of {@code 0 … bound − 1}. */
  Matrix distinct(int count, int bound) {
    return Matrix.row(Arrays.copyOf(shuffled(bound), count));
  }

  /** Codes of the given number of bits. */
  Matrix codes(Layout layout, int rows, int columns, int bits) {
    double[] values = random.ints((long) rows * columns, 0, 1 << bits).asDoubleStream().toArray();
    return new Matrix(DType.U8, layout, rows, columns, values);
  }

  /** {@code XᵀX/tokens + damping·I} for normal X with twice as many tokens: well conditioned. */
  Matrix gram(int n, double damping) {
    int tokens = 2 * n + 1;
    double[] x = normals(tokens * n);
    double[] h = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = i == j ? damping * tokens : 0;
        for (int t = 0; t < tokens; t++) {
          sum += x[t * n + i] * x[t * n + j];
        }
        h[i * n + j] = sum / tokens;
      }
    }
    return Matrix.of(n, n, h);
  }

  int integer(int bound) {
    return random.nextInt(bound);
  }

  private double[] normals(int count) {
    return DoubleStream.generate(random::nextGaussian).limit(count).toArray();
  }

  private int[] shuffled(int n) {
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }
}
