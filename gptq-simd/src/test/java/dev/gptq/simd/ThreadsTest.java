package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.ScoreRows;
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
  private static final int TERMS = 2103;

  /** What vectors of 512 bits add in longer stretches. */
  static final String MANY_TERMS = "gemm of many terms";

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
      Tensor weighted = scope.rowMajor(DType.F32, 1, FEATURES - 5);
      la.gemm(1, x.rows(0, 1).columns(0, OUTPUTS), w.columns(0, FEATURES - 5), 0, weighted);
      digests.put("gemm of one row with rows", hash(weighted));
      Tensor narrow = scope.rowMajor(DType.F32, 3, 5);
      Tensor a = normal(scope, random, 3, TERMS);
      la.gemm(1, a, normal(scope, random, 5, TERMS).transposed(), 0, narrow);
      digests.put(MANY_TERMS, hash(narrow));
      Tensor single = scope.rowMajor(DType.F32, 1, 5);
      la.gemm(1, a.rows(0, 1), normal(scope, random, 5, TERMS).transposed(), 0, single);
      digests.put("gemm of one row of many terms", hash(single));
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
      digests.put("factor, " + kind, hashUpper(factor.v()));
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
    Tensor narrow = scope.rowMajor(DType.F32, TOKENS, FEATURES - 3);
    backend
        .transformer()
        .rmsNorm(x.columns(0, FEATURES - 3), gain.columns(0, FEATURES - 3), 1e-5f, narrow);
    digests.put("rmsNorm of odd length", hash(narrow));
    Tensor loss = scope.rowMajor(DType.F32, 1, TOKENS);
    Tensor targets = scope.upload(new int[TOKENS]);
    backend.transformer().crossEntropy(narrow, targets, loss);
    digests.put("crossEntropy", hash(loss));
    Tensor found = scope.rowMajor(DType.F32, 4, TOKENS);
    backend.transformer().divergence(narrow, x.columns(0, FEATURES - 3), targets, found);
    digests.put("divergence", hash(found));
    backend.gradients().rmsNormGradient(x, gain, 1e-5f, x, y);
    digests.put("rmsNormGradient", hash(y));
    backend.gradients().layerNormGradient(x, gain, 1e-5f, x, y);
    digests.put("layerNormGradient", hash(y));
    Tensor weights = scope.rowMajor(DType.F32, TOKENS, TOKENS);
    Tensor gradient = scope.rowMajor(DType.F32, TOKENS, TOKENS);
    Tensor scores = x.columns(0, TOKENS);
    ScoreRows rows = new ScoreRows(0, 0, 0, 0, Float.NEGATIVE_INFINITY);
    backend.gradients().attentionGradient(scores, scores, TOKENS, rows, weights, gradient);
    digests.put("attentionGradient", hash(weights) + 31 * hash(gradient));
    Tensor sums = scope.zeros(DType.F32, 1, TOKENS, Layout.ROW_MAJOR);
    backend.gradients().addRowSquares(narrow, sums);
    digests.put("addRowSquares", hash(sums));
    backend.gradients().crossEntropyGradient(narrow, targets, narrow);
    digests.put("crossEntropyGradient", hash(narrow));
    backend.transformer().activate(Activation.SILU, x, y);
    digests.put("activate", hash(y));
  }

  /** Of the upper triangle; what lies below it has no meaning. */
  private static int hashUpper(Tensor square) {
    float[] columns = HostCopies.floats(square);
    int hash = 0;
    for (int c = 0; c < square.columns(); c++) {
      float[] upper = Arrays.copyOfRange(columns, c * square.rows(), c * square.rows() + c + 1);
      hash = 31 * hash + Arrays.hashCode(upper);
    }
    return hash;
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
