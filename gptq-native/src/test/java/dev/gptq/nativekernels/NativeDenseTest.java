package dev.gptq.nativekernels;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.simd.kernels.DenseKernels;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;

/** Dense products: that every level has the bits of the definition, and products those of Java. */
final class NativeDenseTest {
  private static final int DEPTH = 11;

  /** Also levels whose instructions this processor lacks, with these written out in C. */
  @Test
  @EnabledOnOs(architectures = "amd64")
  void everyLevelAddsInOrder() {
    KernelLibrary own = KernelLibrary.found().library().orElseThrow();
    KernelLibrary emulated =
        KernelLibrary.load("emulated/" + KernelLibrary.resource()).library().orElseThrow();
    for (KernelLibrary library : new KernelLibrary[] {own, emulated}) {
      for (int level : library.levels()) {
        DenseKernels kernels = new NativeDense(library, level);
        for (boolean contiguous : new boolean[] {true, false}) {
          for (float beta : new float[] {0, 0.75f}) {
            addsInOrder(kernels, contiguous, beta, library.name(level));
          }
        }
      }
    }
  }

  private static void addsInOrder(
      DenseKernels kernels, boolean contiguous, float beta, String level) {
    // Two tiles each way, the second ones with room left.
    int m = 2 * kernels.rows() - 1;
    int n = 2 * kernels.columns() - 3;
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(11);
      float[] a = numbers(random, m * DEPTH);
      float[] b = numbers(random, n * DEPTH);
      float[] c = numbers(random, m * (n + 2));
      float[] expected = c.clone();
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          float sum = 0;
          for (int k = 0; k < DEPTH; k++) {
            float left = contiguous ? a[i * DEPTH + k] : a[k * m + i];
            sum = Math.fma(left, contiguous ? b[j * DEPTH + k] : b[k * n + j], sum);
          }
          int at = i * (n + 2) + j;
          expected[at] = beta == 0 ? -1.5f * sum : Math.fma(-1.5f, sum, beta * c[at]);
        }
      }
      Rows panelsA = panels(arena, 2 * kernels.rows());
      Rows panelsB = panels(arena, 2 * kernels.columns());
      Rows result = new Rows(arena.allocateFrom(ValueLayout.JAVA_FLOAT, c), n + 2);
      MemorySegment left = arena.allocateFrom(ValueLayout.JAVA_FLOAT, a);
      MemorySegment right = arena.allocateFrom(ValueLayout.JAVA_FLOAT, b);
      kernels.packA(new Rows(left, contiguous ? DEPTH : 1), contiguous ? 1 : m, m, DEPTH, panelsA);
      kernels.packB(new Rows(right, contiguous ? DEPTH : 1), contiguous ? 1 : n, n, DEPTH, panelsB);
      kernels.multiply(-1.5f, panelsA, panelsB, m, n, DEPTH, beta, result, n);
      assertThat(result.segment().toArray(ValueLayout.JAVA_FLOAT))
          .as("%s, contiguous %s, beta %s", level, contiguous, beta)
          .isEqualTo(expected);
    }
  }

  private static Rows panels(Arena arena, int width) {
    return new Rows(arena.allocate(4L * width * DEPTH), DEPTH);
  }

  /** Several slices and blocks, the last ones partial, and half of a symmetric result. */
  @Test
  void productsHaveTheBitsOfJava() {
    assertThat(products("native", 3)).isEqualTo(products("java", 2));
  }

  private static float[] products(String kernels, int threads) {
    BackendOptions options =
        new BackendOptions(threads, 0, ImmutableMap.of("simd.kernels", kernels));
    try (Backend backend = new SimdBackendProvider().open(options);
        TensorScope scope = backend.newScope()) {
      Random random = new Random(5);
      Tensor a = tensor(scope, random, 261, 1421);
      Tensor b = tensor(scope, random, 1421, 131);
      Tensor c = tensor(scope, random, 261, 131);
      Tensor h = tensor(scope, random, 261, 261);
      backend.linalg().gemm(0.5f, a, b, 2, c);
      backend.linalg().gemm(1, b.transposed(), a.transposed(), 1, c.transposed());
      backend.linalg().accumulateGram(0.25f, a.transposed(), h);
      backend.linalg().symmetrize(h);
      backend.linalg().gemm(1, h, c, 0, a.columns(0, 131));
      return HostCopies.floats(a);
    }
  }

  private static Tensor tensor(TensorScope scope, Random random, int rows, int columns) {
    MemorySegment numbers = MemorySegment.ofArray(numbers(random, rows * columns));
    return scope.upload(numbers, DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  private static float[] numbers(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }
}
