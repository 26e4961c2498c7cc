package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.Refinement;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The number of threads shows in no bit, as docs/backends.md promises. */
final class ThreadsTest {
  private static final int TOKENS = 77;
  private static final int FEATURES = 160;
  private static final int OUTPUTS = 99;

  @Test
  void anyNumberOfThreadsGivesTheSameBits() {
    ImmutableMap<String, Integer> alone = digests(1);
    assertThat(digests(2)).isEqualTo(alone);
    assertThat(digests(5)).isEqualTo(alone);
  }

  /** Hashes of the bits of results, by operation. */
  static ImmutableMap<String, Integer> digests(int threads) {
    BackendOptions options = new BackendOptions(threads, 0, ImmutableMap.of());
    try (Backend backend = new SimdBackendProvider().open(options);
        TensorScope scope = backend.newScope()) {
      SplittableRandom random = new SplittableRandom(7);
      ImmutableMap.Builder<String, Integer> digests = ImmutableMap.builder();
      LinearAlgebra la = backend.linalg();
      Tensor x = normal(scope, random, TOKENS, FEATURES);
      Tensor w = normal(scope, random, OUTPUTS, FEATURES);
      Tensor y = scope.rowMajor(DType.F32, TOKENS, OUTPUTS);
      la.gemm(1, x, w.transposed(), 0, y);
      digests.put("gemm", hash(y));
      la.gemm(1, x.rows(0, 1), w.transposed(), 0, y.rows(0, 1));
      digests.put("gemm of one row", hash(y));
      Hessian hessian = new Hessian(backend, scope, FEATURES);
      for (int i = 0; i < 4; i++) {
        hessian.add(normal(scope, random, TOKENS, FEATURES));
      }
      digests.put("accumulateGram", hash(hessian.matrix()));
      Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      la.addSumOfSquares(w, total);
      digests.put("addSumOfSquares", Double.hashCode(HostCopies.scalar(total)));
      la.addTraceQuadratic(w, hessian.matrix(), total);
      digests.put("addTraceQuadratic", Double.hashCode(HostCopies.scalar(total)));
      Tensor dots = scope.columnMajor(DType.F32, OUTPUTS, 4);
      Tensor columns = scope.columnMajor(DType.F32, OUTPUTS, FEATURES);
      la.convert(w, columns);
      la.rowDots(columns, columns, dots);
      digests.put("rowDots", hash(dots));
      quantize(backend, scope, columns, hessian, digests);
      forward(backend, scope, random, x, digests);
      return digests.buildOrThrow();
    }
  }

  private static void quantize(
      Backend backend,
      TensorScope scope,
      Tensor w,
      Hessian hessian,
      ImmutableMap.Builder<String, Integer> digests) {
    GptqOptions plain =
        GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 3), 32).withOrder(ColumnOrder.GROUP_AWARE);
    GptqOptions careful =
        plain
            .withGrid(plain.grid().withSearch(GridSearch.PIVOT))
            .withRefinement(new Refinement(4, 1, 2, false));
    for (GptqOptions options : new GptqOptions[] {plain, careful}) {
      HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
      QuantizedMatrix result = new Gptq(backend, options).quantize(w, factor, scope).matrix();
      String kind = options.equals(plain) ? "plain" : "careful";
      digests.put("factor, " + kind, hash(factor.v()));
      digests.put("codes, " + kind, Arrays.hashCode(HostCopies.bytes(result.codes())));
      digests.put("scales, " + kind, hash(result.grid().scale()));
      Tensor y = scope.rowMajor(DType.F32, TOKENS, OUTPUTS);
      Tensor x = scope.filled(0.3f, FEATURES, TOKENS).transposed();
      backend.packed().matmul(x, backend.packed().prepare(result.pack(), scope), y);
      digests.put("matmul, " + kind, hash(y));
    }
  }

  private static void forward(
      Backend backend,
      TensorScope scope,
      SplittableRandom random,
      Tensor x,
      ImmutableMap.Builder<String, Integer> digests) {
    Tensor gain = normal(scope, random, 1, FEATURES);
    Tensor y = scope.rowMajor(DType.F32, TOKENS, FEATURES);
    backend.transformer().rmsNorm(x, gain, 1e-5f, y);
    digests.put("rmsNorm", hash(y));
    backend.transformer().layerNorm(x, gain, gain, 1e-5f, y);
    digests.put("layerNorm", hash(y));
    AttentionSpec spec = new AttentionSpec(5, 5, 32, 0.2f, 0, 0, false);
    backend.transformer().attention(x, x, x, spec, 1, y);
    digests.put("attention", hash(y));
    backend.transformer().activate(Activation.SILU, x, y);
    digests.put("activate", hash(y));
  }

  private static int hash(Tensor tensor) {
    return Arrays.hashCode(HostCopies.floats(tensor));
  }

  private static Tensor normal(TensorScope scope, SplittableRandom random, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }
}
