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

/** Products in parts, against sums in float64. */
final class SplitProductsTest {
  private static final double UNIT = 0x1p-24;

  private final Random random = new Random(20260101);

  /** Numbers of all magnitudes from 2⁻²⁰ to 2²⁰, some of which round up to the next power. */
  private float[] numbers(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      double value = random.nextGaussian() * Math.pow(2, random.nextInt(41) - 20);
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

  /** Small products of every layout on the emulated device, which sums exactly. */
  @Test
  void keepsAllBits() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    int m = 13;
    int k = 24;
    int n = 7;
    float[] a = numbers(m * k);
    float[] b = numbers(k * n);
    float[] c = numbers(m * n);
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    try (CudaScope scope = new CudaScope(context)) {
      for (Layout layoutA : Layout.values()) {
        for (Layout layoutB : Layout.values()) {
          Tensor sum = upload(scope, c, m, n, Layout.COLUMN_MAJOR);
          new SplitProducts(context, SplitProducts.ALL)
              .gemm(
                  0.5f,
                  context.tensor(upload(scope, a, m, k, layoutA)),
                  context.tensor(upload(scope, b, k, n, layoutB)),
                  -2,
                  context.tensor(sum),
                  "gemm");
          float[] actual = HostCopies.floats(sum);
          for (int i = 0; i < m * n; i++) {
            assertClose(actual[i % n * m + i / n], a, b, 0.5, -2.0 * c[i], i / n, i % n, k, n, 8);
          }
        }
      }
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
    for (int l = 0; l < k; l++) {
      double term = alpha * a[row * k + l] * b[l * n + column];
      sum += term;
      magnitude += Math.abs(term);
    }
    assertThat(Math.abs(actual - sum))
        .as("row %s, column %s", row, column)
        .isLessThanOrEqualTo(roundings * UNIT * magnitude);
  }
}
