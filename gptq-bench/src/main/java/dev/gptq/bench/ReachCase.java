package dev.gptq.bench;

import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * One line of {@link Reach}: an operation of the backend, and the operation of the peer that it is
 * held against.
 *
 * @param name what is printed
 * @param work of one execution in thousand million operations or bytes
 * @param own the operation
 * @param peer the peer's, {@code operation a b c}; empty for the backend's own product
 * @param peerWork of one execution of the peer, in the same unit
 */
record ReachCase(String name, double work, Runnable own, Optional<String> peer, double peerWork) {
  private static final int GROUP = 128;

  /** Of each vector: more than a cache holds. */
  private static final int READ_MEBIBYTES = 256;

  static ReachCase gemm(Backend backend, TensorScope scope, int m, int n, int k) {
    Tensor a = Data.normal(scope, m, k, Layout.ROW_MAJOR, 1);
    Tensor b = Data.normal(scope, n, k, Layout.ROW_MAJOR, 2).transposed();
    Tensor c = scope.rowMajor(DType.F32, m, n);
    double work = 2e-9 * m * n * k;
    return new ReachCase(
        "gemm " + m + "x" + n + "x" + k,
        work,
        () -> backend.linalg().gemm(1, a, b, 0, c),
        peer("gemm", m, n, k),
        work);
  }

  static ReachCase gram(Backend backend, TensorScope scope, int n, int tokens) {
    Tensor x = Data.normal(scope, tokens, n, Layout.ROW_MAJOR, 1);
    Tensor h = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
    double work = 1e-9 * n * n * tokens;
    return new ReachCase(
        "gram " + n + ", " + tokens + " tokens",
        work,
        () -> backend.linalg().accumulateGram(1, x, h),
        peer("gram", n, tokens, 0),
        work);
  }

  /**
   * V from H, against {@code factor} (potrf) or {@code chain} (potrf, potri, potrf: what U takes).
   */
  static ReachCase factor(Backend backend, TensorScope scope, int n, String peer) {
    Tensor h = positiveDefinite(backend, scope, n);
    Tensor v = scope.rowMajor(DType.F32, n, n);
    double work = 1e-9 / 3 * n * n * n;
    return new ReachCase(
        "V from H " + n + " / " + peer,
        work,
        () -> {
          backend.linalg().convert(h, v);
          backend.linalg().cholesky(v);
        },
        peer(peer, n, 0, 0),
        work);
  }

  /** {@link Gptq} with a factor at hand, against a product of 2048. */
  static ReachCase columnLoop(Backend backend, TensorScope scope, int m, int n) {
    GptqOptions options = GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), GROUP);
    Tensor weights = Data.normal(scope, m, n, Layout.ROW_MAJOR, 1);
    Hessian hessian = Hessian.of(backend, positiveDefinite(backend, scope, n), n);
    HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
    Gptq gptq = new Gptq(backend, options);
    return new ReachCase(
        "column loop " + m + "x" + n,
        1e-9 * m * n * n,
        () -> {
          try (TensorScope local = backend.newScope()) {
            gptq.quantize(weights, factor, local);
          }
        },
        peer("gemm", 2048, 2048, 2048),
        2e-9 * 2048 * 2048 * 2048);
  }

  /** One token, weights from memory, against the rate at which as many readers read memory. */
  static ReachCase decode(Backend backend, TensorScope scope, int m, int n, int footprint) {
    List<PackedWeights> weights = new ArrayList<>();
    PackedMatrix matrix = PackedMatmulBenchmark.matrix(Scheme.SYMMETRIC, m, n);
    for (long i = 0; i <= ((long) footprint << 20) / matrix.words().byteSize(); i++) {
      weights.add(backend.packed().prepare(matrix, scope));
    }
    Tensor x = Data.normal(scope, 1, n, Layout.ROW_MAJOR, 1);
    Tensor y = scope.rowMajor(DType.F32, 1, m);
    double bytes = weights.stream().mapToDouble(PackedWeights::byteSize).sum();
    return new ReachCase(
        "int4 decode " + m + "x" + n,
        1e-9 * bytes,
        () -> weights.forEach(each -> backend.packed().matmul(x, each, y)),
        peer("read", READ_MEBIBYTES, 0, 0),
        2e-9 * ((long) READ_MEBIBYTES << 20));
  }

  /** Many tokens, against a product with dense weights. */
  static ReachCase prefill(Backend backend, TensorScope scope, int tokens, int m, int n) {
    PackedWeights weights =
        backend.packed().prepare(PackedMatmulBenchmark.matrix(Scheme.SYMMETRIC, m, n), scope);
    Tensor x = Data.normal(scope, tokens, n, Layout.ROW_MAJOR, 1);
    Tensor y = scope.rowMajor(DType.F32, tokens, m);
    double work = 2e-9 * tokens * m * n;
    return new ReachCase(
        "int4 prefill " + tokens + " tokens " + m + "x" + n,
        work,
        () -> backend.packed().matmul(x, weights, y),
        peer("gemm", tokens, m, n),
        work);
  }

  /** The forward pass of a small model, against the backend's own products. */
  static ReachCase forward(Backend backend, TensorScope scope, int tokens) {
    ReachForward forward = new ReachForward(backend, scope, tokens);
    return new ReachCase(
        "forward pass, " + tokens + " tokens / own gemm",
        forward.work(),
        forward::run,
        Optional.empty(),
        2e-9 * 2048 * 2048 * 2048);
  }

  /** The product that a case without a peer is held against. */
  static ReachCase ownProduct(Backend backend, TensorScope scope) {
    return gemm(backend, scope, 2048, 2048, 2048);
  }

  private static Optional<String> peer(String operation, int a, int b, int c) {
    return Optional.of(operation + " " + a + " " + b + " " + c);
  }

  private static Tensor positiveDefinite(Backend backend, TensorScope scope, int n) {
    Tensor x = Data.normal(scope, 64, n, Layout.ROW_MAJOR, 3);
    Tensor h = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
    backend.linalg().accumulateGram(1, x, h);
    float[] diagonal = new float[n];
    Arrays.fill(diagonal, 64);
    backend.linalg().addToDiagonal(scope.upload(diagonal), h);
    backend.linalg().symmetrize(h);
    return h;
  }
}
