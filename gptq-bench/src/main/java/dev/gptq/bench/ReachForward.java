package dev.gptq.bench;

import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.RopePairs;
import dev.gptq.backend.TransformerOps;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** One window through nine blocks of a Llama with 512 channels and random weights. */
final class ReachForward {
  private static final int BLOCKS = 9;
  private static final int CHANNELS = 512;
  private static final int KEYS = 256;
  private static final int INNER = 1408;
  private static final int HEAD = 64;
  private static final AttentionSpec SPEC =
      new AttentionSpec(CHANNELS / HEAD, KEYS / HEAD, HEAD, 0.125f, 0, 0, false);

  private final Backend backend;
  private final int tokens;
  private final Tensor wide;
  private final Tensor narrow;
  private final Tensor up;
  private final Tensor down;
  private final Tensor gain;
  private final Tensor angles;
  private final Tensor x;
  private final Tensor normed;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final Tensor gateOut;
  private final Tensor upOut;

  ReachForward(Backend backend, TensorScope scope, int tokens) {
    this.backend = backend;
    this.tokens = tokens;
    // Small, so that nine blocks of random weights stay finite.
    wide = weights(scope, CHANNELS, CHANNELS);
    narrow = weights(scope, KEYS, CHANNELS);
    up = weights(scope, INNER, CHANNELS);
    down = weights(scope, CHANNELS, INNER);
    gain = Data.normal(scope, 1, CHANNELS, Layout.ROW_MAJOR, 5);
    angles = Data.normal(scope, tokens, HEAD / 2, Layout.ROW_MAJOR, 6);
    x = Data.normal(scope, tokens, CHANNELS, Layout.ROW_MAJOR, 7);
    normed = scope.rowMajor(DType.F32, tokens, CHANNELS);
    q = scope.rowMajor(DType.F32, tokens, CHANNELS);
    k = scope.rowMajor(DType.F32, tokens, KEYS);
    v = scope.rowMajor(DType.F32, tokens, KEYS);
    gateOut = scope.rowMajor(DType.F32, tokens, INNER);
    upOut = scope.rowMajor(DType.F32, tokens, INNER);
  }

  private Tensor weights(TensorScope scope, int rows, int columns) {
    Tensor w = Data.normal(scope, rows, columns, Layout.ROW_MAJOR, rows);
    backend.transformer().scale(0.01f, w);
    return w;
  }

  /** Thousand million operations: the products, and the causal half of the scores. */
  double work() {
    double products = 2.0 * CHANNELS * CHANNELS + 2.0 * CHANNELS * KEYS + 3.0 * CHANNELS * INNER;
    double scores = (double) tokens * CHANNELS;
    return 2e-9 * BLOCKS * tokens * (products + scores);
  }

  void run() {
    TransformerOps ops = backend.transformer();
    for (int block = 0; block < BLOCKS; block++) {
      ops.rmsNorm(x, gain, 1e-5f, normed);
      multiply(normed, wide, q);
      multiply(normed, narrow, k);
      multiply(normed, narrow, v);
      ops.rope(q, HEAD, RopePairs.HALVES, angles, angles, 0, 1);
      ops.rope(k, HEAD, RopePairs.HALVES, angles, angles, 0, 1);
      ops.attention(q, k, v, SPEC, 1, normed);
      multiply(normed, wide, q);
      ops.add(q, x);
      ops.rmsNorm(x, gain, 1e-5f, normed);
      multiply(normed, up, gateOut);
      multiply(normed, up, upOut);
      ops.gate(Activation.SILU, gateOut, upOut, upOut);
      multiply(upOut, down, normed);
      ops.add(normed, x);
    }
    // Back to where it began, so that no run differs from another.
    ops.rmsNorm(x, gain, 1e-5f, x);
  }

  private void multiply(Tensor a, Tensor weight, Tensor out) {
    backend.linalg().gemm(1, a, weight.transposed(), 0, out);
  }
}
