package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Factors by blocks on the emulated device. */
final class BlockCholeskyTest {
  private final Random random = new Random(20261201);

  /** Inputs of which some are a hundred times the others, with what lies above the diagonal NaN. */
  private float[] gram(int n) {
    double[][] x = new double[n + 5][n];
    for (double[] row : x) {
      for (int j = 0; j < n; j++) {
        row[j] = (random.nextGaussian() + 0.5) * (j % 7 == 3 ? 100 : 1);
      }
    }
    float[] h = new float[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = i == j ? 10 : 0;
        for (double[] row : x) {
          sum += row[i] * row[j];
        }
        h[i * n + j] = j > i ? Float.NaN : (float) sum;
      }
    }
    return h;
  }

  private static float[] factor(float[] h, int n, int block, int piece, int strip) {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    CudaContext context = EmulatedProvider.context(driver, BackendOptions.defaults());
    try (CudaScope scope = new CudaScope(context)) {
      Tensor l = scope.upload(MemorySegment.ofArray(h), DType.F32, n, n, Layout.ROW_MAJOR);
      new Cholesky(context, new BlockCholesky(context, block, piece, strip), 1)
          .compute(context.tensor(l));
      return HostCopies.floats(l);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 16, 8, 16",
    "16, 16, 8, 16",
    "17, 16, 8, 16",
    "50, 16, 16, 8",
    "61, 16, 8, 32",
    "200, 80, 40, 40",
    "320, 136, 80, 64",
  })
  void productIsTheMatrix(int n, int block, int piece, int strip) {
    float[] h = gram(n);
    float[] l = factor(h, n, block, piece, strip);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = 0;
        for (int k = i; k < n; k++) {
          sum += (double) l[k * n + i] * l[k * n + j];
        }
        double unit = Math.sqrt((double) h[i * n + i] * h[j * n + j]);
        assertThat(sum).as("%s, %s", i, j).isCloseTo(h[i * n + j], within(0x1p-21 * unit));
      }
    }
  }

  /**
   * Elimination goes from the last column to the first, so that minors are counted from the end.
   */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 33, 48, 50})
  void badMinorsAreFound(int order) {
    int n = 50;
    for (float pivot : new float[] {-1, 0, Float.NaN, Float.POSITIVE_INFINITY}) {
      float[] h = gram(n);
      int at = n - order;
      h[at * n + at] = pivot;
      assertThatThrownBy(() -> factor(h, n, 16, 8, 16))
          .as("pivot %s", pivot)
          .isInstanceOf(NotPositiveDefiniteException.class)
          .hasMessageContaining("pivot " + order + " ");
    }
  }
}
