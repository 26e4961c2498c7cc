package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Products in parts, against sums in float64. */
final class SplitProductsTest {
  private static final double UNIT = 0x1p-24;

  private final Random random = new Random(20260101);

  /** Numbers of all magnitudes from 2⁻²⁰ to 2²⁰, some of which round up to the next power. */
  private float[] numbers(int count) {
    return numbers(count, 20);
  }

  /** The same from 2⁻ʳ to 2ʳ. */
  private float[] numbers(int count, int r) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      double value = random.nextGaussian() * Math.pow(2, random.nextInt(2 * r + 1) - r);
      values[i] = i % 13 == 0 ? 1 - (float) UNIT : (float) value;
    }
    return values;
  }

  private static Tensor upload(
      TensorScope scope, float[] rowMajor, int rows, int columns, Layout layout) {
    float[] values = rowMajor.clone();
    for (int i = 0; layout == Layout.COLUMN_MAJOR && i < values.length; i++) {
      values[i % columns * rows + i / columns] = rowMajor[i];
    }
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, layout);
  }

  /** Small products of every layout on the emulated device, in one piece and in several. */
  @ParameterizedTest
  @CsvSource({"8, 4", "2048, 4", "8, 20"})
  void keepsAllBits(int depth, int range) {
    int m = 13;
    int k = 24;
    int n = 7;
    float[] a = numbers(m * k, range);
    float[] b = numbers(k * n, range);
    float[] c = numbers(m * n, range);
    for (Layout layoutA : Layout.values()) {
      for (Layout layoutB : Layout.values()) {
        float[] actual = product(depth, a, layoutA, b, layoutB, c, m, k, n);
        for (int i = 0; i < m * n; i++) {
          assertClose(actual[i], a, b, 0.5, -2.0 * c[i], i / n, i % n, k, n, 8);
        }
      }
    }
  }

  /**
   * Magnitudes far from those of binary16, together with a factor of zeros, whose range is none.
   */
  @ParameterizedTest
  @ValueSource(ints = {-149, -140, -126, -100, -60, -30, 0, 30, 60, 100, 126})
  void magnitudesDoNotMatter(int exponent) {
    int m = 9;
    int k = 16;
    int n = 5;
    float[] a = new float[m * k];
    float[] b = new float[k * n];
    for (int i = 0; i < a.length; i++) {
      a[i] = Math.scalb(1 + random.nextFloat(), exponent);
    }
    for (int i = 0; i < b.length; i++) {
      b[i] = Math.scalb(random.nextFloat() - 0.5f, Math.clamp(-exponent, -126, 100));
    }
    float[] zeros = new float[m * n];
    float[] actual = product(8, a, Layout.ROW_MAJOR, b, Layout.COLUMN_MAJOR, zeros, m, k, n);
    float[] none =
        product(8, a, Layout.COLUMN_MAJOR, new float[k * n], Layout.ROW_MAJOR, zeros, m, k, n);
    for (int i = 0; i < m * n; i++) {
      assertClose(actual[i], a, b, 0.5, 0, i / n, i % n, k, n, 8);
      assertThat(none[i]).isZero();
    }
  }

  /** Columns of A, and the rows of B that they meet, in turn far above and far below the rest. */
  @Test
  void scalesOfColumnsDoNotMatter() {
    int m = 11;
    int k = 32;
    int n = 6;
    float[] a = new float[m * k];
    float[] b = new float[k * n];
    for (int i = 0; i < a.length; i++) {
      a[i] = Math.scalb((float) random.nextGaussian(), 20 * (i % k % 3 - 1));
    }
    for (int i = 0; i < b.length; i++) {
      b[i] = Math.scalb((float) random.nextGaussian(), -20 * (i / n % 3 - 1));
    }
    float[] actual =
        product(
            SplitProducts.DEPTH,
            a,
            Layout.ROW_MAJOR,
            b,
            Layout.ROW_MAJOR,
            new float[m * n],
            m,
            k,
            n);
    for (int i = 0; i < m * n; i++) {
      assertClose(actual[i], a, b, 0.5, 0, i / n, i % n, k, n, 8);
    }
  }

  /** What is not finite stays so where it matters, and nowhere else. */
  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void whatIsNotFiniteStaysSo(float value) {
    int m = 9;
    int k = 16;
    int n = 5;
    float[] a = numbers(m * k);
    float[] b = numbers(k * n);
    float[] c = numbers(m * n);
    a[3 * k + 5] = value;
    float[] actual = product(8, a, Layout.ROW_MAJOR, b, Layout.ROW_MAJOR, c, m, k, n);
    for (int i = 0; i < m * n; i++) {
      if (i / n == 3) {
        assertThat(Float.isFinite(actual[i])).isFalse();
      } else {
        assertClose(actual[i], a, b, 0.5, -2.0 * c[i], i / n, i % n, k, n, 8);
      }
    }
  }

  /** {@code ½·A·B − 2·C} by the emulated device, row by row. */
  private static float[] product(
      int depth,
      float[] a,
      Layout layoutA,
      float[] b,
      Layout layoutB,
      float[] c,
      int m,
      int k,
      int n) {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    try (CudaScope scope = new CudaScope(context)) {
      Tensor sum = upload(scope, c, m, n, Layout.COLUMN_MAJOR);
      new SplitProducts(context, depth)
          .gemm(
              0.5f,
              context.tensor(upload(scope, a, m, k, layoutA)),
              context.tensor(upload(scope, b, k, n, layoutB)),
              -2,
              context.tensor(sum),
              "gemm");
      float[] columns = HostCopies.floats(sum);
      float[] rows = new float[m * n];
      for (int i = 0; i < m * n; i++) {
        rows[i] = columns[i % n * m + i / n];
      }
      return rows;
    }
  }

  /** A product that is large enough for this way, on a real device. */
  @Test
  void agreesOnADevice() {
    CudaBackendProvider provider = new CudaBackendProvider();
    BackendOptions options = BackendOptions.defaults();
    boolean required = "cuda".equals(System.getProperty("gptq.test.require"));
    if (provider.probe(options) instanceof Availability.Unavailable why && !required) {
      Assumptions.abort(why.reason());
    }
    int m = 900;
    int k = 1536;
    int n = 1000;
    float[] a = numbers(m * k);
    float[] b = numbers(k * n);
    try (Backend backend = provider.open(options);
        TensorScope scope = backend.newScope()) {
      for (Layout layout : Layout.values()) {
        Tensor sum = scope.columnMajor(DType.F32, m, n);
        Tensor left = upload(scope, a, m, k, layout);
        backend.linalg().gemm(1, left, upload(scope, b, k, n, layout), 0, sum);
        float[] actual = HostCopies.floats(sum);
        for (int i = 0; i < m * n; i += 997) {
          assertClose(actual[i % n * m + i / n], a, b, 1, 0, i / n, i % n, k, n, k + 8);
        }
      }
    }
  }

  /**
   * The error is below that many roundings of the terms, beside what elements below 2⁻¹⁶ of the
   * largest of their matrix lose, 2⁻³⁹ of it each.
   */
  private static void assertClose(
      double actual,
      float[] a,
      float[] b,
      double alpha,
      double start,
      int row,
      int column,
      int k,
      int n,
      int roundings) {
    double sum = start;
    double magnitude = Math.abs(start);
    double lost = 0;
    double largestA = largest(a);
    double largestB = largest(b);
    for (int l = 0; l < k; l++) {
      double left = a[row * k + l];
      double right = b[l * n + column];
      sum += alpha * left * right;
      magnitude += Math.abs(alpha * left * right);
      lost += Math.abs(alpha) * (lost(left, largestA) * Math.abs(right));
      lost += Math.abs(alpha) * (lost(right, largestB) * Math.abs(left));
    }
    assertThat(Math.abs(actual - sum))
        .as("row %s, column %s", row, column)
        .isLessThanOrEqualTo(roundings * UNIT * magnitude + lost);
  }

  private static double lost(double value, double largest) {
    return Math.abs(value) < 0x1p-16 * largest ? 0x1p-39 * largest : 0;
  }

  private static double largest(float[] values) {
    double largest = 0;
    for (float value : values) {
      largest = Float.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest;
    }
    return largest;
  }
}
