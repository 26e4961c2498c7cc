package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/** What comes before the first block and after the last: embedding, final norm and head. */
public final class Ends {
  /** Logits that are held at a time while losses are taken: 256 MiB. */
  private static final long LOGITS = 1L << 26;

  private final Backend backend;
  private final Tensor table;
  private final Norm finalNorm;
  private final Tensor head;

  /** Loads the weights into {@code scope}. */
  public Ends(Backend backend, DecoderSpec spec, WeightSource source, TensorScope scope) {
    this.backend = backend;
    this.table = source.matrix(spec.embedding(), spec.vocabulary(), spec.hidden(), scope);
    this.finalNorm = Norm.load(source, spec.finalNorm().name(), spec.finalNorm(), scope);
    this.head =
        spec.head().equals(spec.embedding())
            ? table
            : source.matrix(spec.head(), spec.vocabulary(), spec.hidden(), scope);
  }

  /** Defines the residual stream of windows of token ids. */
  public void embed(List<int[]> windows, Registers registers, TensorScope local) {
    Tensor tokens = Decoder.tokens(windows, local);
    Tensor x = registers.define(Step.RESIDUAL, tokens.columns(), table.columns());
    backend.transformer().embed(table, tokens, x);
  }

  /** The logits of all positions, F32, tokens × vocabulary. */
  Tensor logits(Registers registers, TensorScope result) {
    return project(registers.get(Step.RESIDUAL), result);
  }

  /** The logits of the last position, 1 × vocabulary. */
  Tensor lastLogits(Registers registers, TensorScope result) {
    Tensor x = registers.get(Step.RESIDUAL);
    return project(x.rows(x.rows() - 1, x.rows()), result);
  }

  /** The loss at every position, 0 where a window ends; the residual stream is left as it is. */
  float[] losses(List<int[]> windows, Registers registers) {
    Tensor x = registers.get(Step.RESIDUAL);
    int length = windows.getFirst().length;
    float[] losses = new float[x.rows()];
    int chunk = Math.toIntExact(Math.clamp(LOGITS / head.rows(), 1, x.rows()));
    for (int from = 0; from < x.rows(); from += chunk) {
      int to = Math.min(from + chunk, x.rows());
      int[] next = new int[to - from];
      for (int t = from; t < to; t++) {
        int[] window = windows.get(t / length);
        next[t - from] = t % length + 1 < length ? window[t % length + 1] : 0;
      }
      try (TensorScope local = backend.newScope()) {
        Tensor logits = project(x.rows(from, to), local);
        Tensor loss = local.rowMajor(DType.F32, 1, to - from);
        backend.transformer().crossEntropy(logits, local.upload(next), loss);
        System.arraycopy(HostCopies.floats(loss), 0, losses, from, to - from);
      }
    }
    for (int last = length - 1; last < losses.length; last += length) {
      losses[last] = 0;
    }
    return losses;
  }

  /** What the head reads. */
  Tensor normalised(Tensor x, TensorScope result) {
    Tensor normalised = result.rowMajor(backend.activationType(), x.rows(), x.columns());
    finalNorm.apply(backend, x, normalised);
    return normalised;
  }

  private Tensor project(Tensor x, TensorScope result) {
    try (TensorScope local = backend.newScope()) {
      Tensor normalised = normalised(x, local);
      Tensor logits = result.rowMajor(DType.F32, x.rows(), head.rows());
      backend.linalg().gemm(1, normalised, head.transposed(), 0, logits);
      return logits;
    }
  }
}
