package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The oracle itself, by definition: it must not be its own judge. */
final class LinearAlgebraDefinitionTest {
  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();
  private final LinearAlgebra linalg = backend.linalg();
  private final Random random = new Random(Inputs.SEED);

  @AfterEach
  void close() {
    backend.close();
  }

  private float[] normal(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private Tensor upload(float[] values, int rows, int columns) {
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  @Test
  void gemmIsTheTripleLoop() {
    int m = 5;
    int k = 7;
    int n = 3;
    float[] a = normal(m * k);
    float[] b = normal(k * n);
    float[] c = normal(m * n);
    Tensor result = upload(c, m, n);
    linalg.gemm(0.5f, upload(a, m, k), upload(b, k, n), -2f, result);
    float[] actual = HostCopies.floats(result);
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = -2.0 * c[i * n + j];
        for (int l = 0; l < k; l++) {
          sum += 0.5 * a[i * k + l] * b[l * n + j];
        }
        assertThat(actual[i * n + j]).isCloseTo((float) sum, within(1e-6f));
      }
    }
  }

  @Test
  void gramIsTheSumOfOuterProducts() {
    int tokens = 9;
    int n = 6;
    float[] x = normal(tokens * n);
    Tensor h = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
    // Two portions, as calibration adds them.
    linalg.accumulateGram(2f, upload(x, tokens, n).rows(0, 4), h);
    linalg.accumulateGram(2f, upload(x, tokens, n).rows(4, tokens), h);
    linalg.symmetrize(h);
    float[] actual = HostCopies.floats(h);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int t = 0; t < tokens; t++) {
          sum += 2.0 * x[t * n + i] * x[t * n + j];
        }
        assertThat(actual[i * n + j]).isCloseTo((float) sum, within(1e-5f));
      }
    }
  }

  /** {@code LᵀL = H} with a positive diagonal. */
  @Test
  void factorTimesItselfIsTheMatrix() {
    for (int n : new int[] {1, 2, 5, 16, 33}) {
      Matrix h = new Inputs("factor " + n).gram(n, 0.2);
      Tensor l = scope.upload(MemorySegment.ofArray(h.bytes()), DType.F32, n, n, Layout.ROW_MAJOR);
      linalg.cholesky(l);
      float[] lv = HostCopies.floats(l);
      for (int i = 0; i < n; i++) {
        assertThat(lv[i * n + i]).isPositive();
        for (int j = 0; j <= i; j++) {
          double product = 0;
          for (int k = i; k < n; k++) {
            product += (double) lv[k * n + i] * lv[k * n + j];
          }
          assertThat(product).as("H[%s][%s], n = %s", i, j, n).isCloseTo(h.at(i, j), within(1e-5));
        }
      }
    }
  }

  /** By hand: {@code [[4, 2], [2, 3]] = LᵀL} with {@code L = [[√(8/3), 0], [2/√3, √3]]}. */
  @Test
  void factorOfATwoByTwoMatrix() {
    Tensor l = upload(new float[] {4, 2, 2, 3}, 2, 2);
    linalg.cholesky(l);
    assertThat(HostCopies.floats(l))
        .containsExactly(
            new float[] {
              (float) Math.sqrt(8.0 / 3), 2, (float) (2 / Math.sqrt(3)), (float) Math.sqrt(3)
            },
            within(1e-6f));
  }

  /** Each block times its inverse is the identity. */
  @Test
  void invertedBlocksAreInverses() {
    int n = 7;
    Matrix v = QuantizationConformance.triangle(new Inputs("blocks"), n);
    Tensor tensor =
        scope.upload(MemorySegment.ofArray(v.bytes()), DType.F32, n, n, Layout.ROW_MAJOR);
    for (int width : new int[] {1, 3, 7}) {
      Tensor u = scope.rowMajor(DType.F32, n, width);
      linalg.invertDiagonalBlocks(tensor, u);
      float[] uv = HostCopies.floats(u);
      for (int i = 0; i < n; i++) {
        int from = i / width * width;
        for (int j = from; j < Math.min(n, from + width); j++) {
          double product = 0;
          for (int k = from; k <= j; k++) {
            product += uv[i * width + k - from] * v.at(k, j);
          }
          assertThat(product).isCloseTo(i == j ? 1 : 0, within(1e-6));
        }
      }
    }
  }

  /** The trace is the output error: {@code tr(A·XᵀX·Aᵀ) = ‖X·Aᵀ‖²}. */
  @Test
  void traceIsTheNormOfTheOutputs() {
    int tokens = 11;
    int n = 5;
    int m = 4;
    float[] x = normal(tokens * n);
    float[] a = normal(m * n);
    Tensor h = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
    linalg.accumulateGram(1f, upload(x, tokens, n), h);
    linalg.symmetrize(h);
    Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
    linalg.addTraceQuadratic(upload(a, m, n), h, total);
    double norm = 0;
    for (int t = 0; t < tokens; t++) {
      for (int o = 0; o < m; o++) {
        double y = 0;
        for (int i = 0; i < n; i++) {
          y += (double) x[t * n + i] * a[o * n + i];
        }
        norm += y * y;
      }
    }
    assertThat(HostCopies.scalar(total)).isCloseTo(norm, within(1e-5 * norm));
  }

  @Test
  void sumOfSquaresAndCountsAdd() {
    Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
    linalg.addSumOfSquares(scope.upload(3f, -4f), total);
    linalg.addSumOfSquares(scope.upload(12f), total);
    assertThat(HostCopies.scalar(total)).isEqualTo(169);
    linalg.addNonFiniteCount(scope.upload(Float.NaN, 1, Float.NEGATIVE_INFINITY), total);
    assertThat(HostCopies.scalar(total)).isEqualTo(171);
  }

  /** The bits of binary16 and bfloat16 from their definitions. */
  @Test
  void conversionHasTheKnownBits() {
    float[] values = {1, -2, 65504, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 0x1p-24f, 0x1p-25f, 65520};
    Tensor half = scope.rowMajor(DType.F16, 1, values.length);
    linalg.convert(scope.upload(values), half);
    assertThat(shorts(half))
        .containsExactly(
            (short) 0x3c00,
            (short) 0xc000,
            (short) 0x7bff,
            (short) 0x3c00,
            (short) 0x3c02,
            (short) 0x0001,
            (short) 0x0000,
            (short) 0x7c00);
    float[] brain = {1, -2, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f, Float.MAX_VALUE, Float.NaN};
    Tensor bfloat = scope.rowMajor(DType.BF16, 1, brain.length);
    linalg.convert(scope.upload(brain), bfloat);
    assertThat(shorts(bfloat))
        .containsExactly(
            (short) 0x3f80,
            (short) 0xc000,
            (short) 0x3f80,
            (short) 0x3f82,
            (short) 0x7f80,
            (short) 0x7fc0);
  }

  private static short[] shorts(Tensor tensor) {
    short[] values = new short[(int) tensor.elements()];
    tensor.copyTo(MemorySegment.ofArray(values));
    return values;
  }
}
