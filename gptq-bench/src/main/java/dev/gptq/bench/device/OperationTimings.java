package dev.gptq.bench.device;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.RopePairs;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** Single operations of calibration and forward pass. */
final class OperationTimings {
  private static final int HEAD = 128;
  private static final int BLOCK = 128;

  private final Stopwatch stopwatch;
  private final Backend backend;
  private final LinearAlgebra linalg;

  OperationTimings(Stopwatch stopwatch) {
    this.stopwatch = stopwatch;
    this.backend = stopwatch.backend();
    this.linalg = backend.linalg();
  }

  /** The Hessian's parts for inputs of so many columns. */
  void hessian(int columns, int tokens) {
    try (TensorScope scope = backend.newScope()) {
      Operands operands = new Operands(backend, scope);
      Tensor x = operands.normal(backend.activationType(), tokens, columns, 1);
      Tensor h = scope.zeros(DType.F32, columns, columns, Layout.ROW_MAJOR);
      stopwatch.time(
          "accumulateGram " + tokens + " x " + columns,
          2.0 * tokens * columns * columns,
          "TFLOP/s (2NC²)",
          _ -> linalg.accumulateGram(1e-3f, x, h));
      Hessian positive = operands.hessian(columns);
      Tensor factor = scope.rowMajor(DType.F32, columns, columns);
      Tensor matrix = positive.matrix();
      stopwatch.time(
          "cholesky " + columns,
          _ -> {
            linalg.convert(matrix, factor);
            linalg.cholesky(factor);
          });
      Tensor blocks = scope.rowMajor(DType.F32, columns, Math.min(columns, BLOCK));
      stopwatch.time(
          "invertDiagonalBlocks " + columns + " by " + blocks.columns(),
          _ -> linalg.invertDiagonalBlocks(factor.transposed(), blocks));
      Tensor a = operands.normal(DType.F32, columns, columns, 1);
      Tensor total = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      stopwatch.time(
          "addTraceQuadratic " + columns + " x " + columns,
          _ -> linalg.addTraceQuadratic(a, matrix, total));
    }
  }

  /** The steps of a Llama block with so many heads of 128. */
  void forward(int sequences, int length, int heads, int feedForward) {
    int tokens = sequences * length;
    int hidden = HEAD * heads;
    DType type = backend.activationType();
    String size = " " + tokens + " x " + hidden;
    try (TensorScope scope = backend.newScope()) {
      Operands operands = new Operands(backend, scope);
      Tensor q = operands.normal(type, tokens, hidden, 1);
      Tensor k = operands.normal(type, tokens, hidden, 1);
      Tensor v = operands.normal(type, tokens, hidden, 1);
      Tensor y = scope.rowMajor(type, tokens, hidden);
      AttentionSpec spec =
          new AttentionSpec(heads, heads, HEAD, (float) (1 / Math.sqrt(HEAD)), 0, 0, false);
      stopwatch.time(
          "attention " + sequences + " x " + length + ", " + heads + " heads of " + HEAD,
          2.0 * tokens * length * hidden,
          "TFLOP/s (causal)",
          _ -> backend.transformer().attention(q, k, v, spec, sequences, y));
      Tensor gain = operands.normal(type, 1, hidden, 1);
      stopwatch.time("rmsNorm" + size, _ -> backend.transformer().rmsNorm(q, gain, 1e-5f, y));
      stopwatch.time("add" + size, _ -> backend.transformer().add(q, y));
      Tensor table = scope.zeros(DType.F32, length, HEAD / 2, Layout.ROW_MAJOR);
      stopwatch.time(
          "rope" + size,
          _ -> backend.transformer().rope(q, HEAD, RopePairs.HALVES, table, table, 0, sequences));
      Tensor gate = operands.normal(type, tokens, feedForward, 1);
      Tensor up = operands.normal(type, tokens, feedForward, 1);
      stopwatch.time(
          "gate " + tokens + " x " + feedForward,
          _ -> backend.transformer().gate(Activation.SILU, gate, up, gate));
      Tensor weight = operands.normal(type, feedForward, hidden, 1);
      for (int rows = tokens; rows > tokens / 32; rows /= 4) {
        Tensor some = k.rows(0, rows);
        Tensor product = up.rows(0, rows);
        stopwatch.time(
            "gemm " + rows + " x " + hidden + " x " + feedForward,
            2.0 * rows * hidden * feedForward,
            "TFLOP/s",
            _ -> linalg.gemm(1, some, weight.transposed(), 0, product));
      }
    }
  }
}
