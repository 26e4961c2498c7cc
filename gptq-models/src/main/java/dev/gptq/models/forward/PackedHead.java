package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * The matrix of the output head as codes, for the single row of logits that each new token takes:
 * that row reads the whole matrix, which in a small model is half of all that a token reads.
 */
final class PackedHead {
  /** Logits of a part, so that rounding a wide head takes little memory beside it. */
  private static final int ROWS = 1 << 14;

  /** Weights that share a scale, as in the 8-bit type of GGUF. */
  private static final int GROUP = 32;

  private final Backend backend;
  private final ImmutableList<PackedWeights> parts;

  private PackedHead(Backend backend, ImmutableList<PackedWeights> parts) {
    this.backend = backend;
    this.parts = parts;
  }

  /** As a checkpoint holds it; the weights live in {@code scope}. */
  static PackedHead of(Backend backend, PackedMatrix matrix, TensorScope scope) {
    return new PackedHead(backend, ImmutableList.of(backend.packed().prepare(matrix, scope)));
  }

  /** Rounds a dense head, vocabulary × features, to the nearest codes of symmetric grids. */
  static PackedHead rounded(Backend backend, Tensor head, int bits, TensorScope scope) {
    int group = head.columns() % GROUP == 0 ? GROUP : GptqOptions.PER_ROW;
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, bits).withSearch(GridSearch.MIN_MAX);
    RoundToNearest rounding = new RoundToNearest(backend, spec, group);
    ImmutableList.Builder<PackedWeights> parts = ImmutableList.builder();
    for (int from = 0; from < head.rows(); from += ROWS) {
      try (TensorScope local = backend.newScope()) {
        Tensor rows = head.rows(from, Math.min(from + ROWS, head.rows()));
        parts.add(backend.packed().prepare(rounding.quantize(rows, local).pack(), scope));
      }
    }
    return new PackedHead(backend, parts.build());
  }

  /** {@code logits ← y·Wᵀ}, both of one row. */
  void multiply(Tensor y, Tensor logits) {
    int from = 0;
    for (PackedWeights part : parts) {
      backend.packed().matmul(y, part, logits.columns(from, from + part.rows()));
      from += part.rows();
    }
  }
}
