package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.grid.SuperBlock;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * GPTQ on {@link SuperBlock}s. All scales are fixed before the first code is chosen, in the form in
 * which they are stored ({@link BlockFit}); a loop over the columns then chooses codes with error
 * feedback, and what refinement asks for moves codes and scales by turns within what a block can
 * hold ({@link BlockRefit}).
 *
 * <p>Backends need not know offsets: for {@code q = s·u − m} the loop quantizes {@code W + M} with
 * the zero point 0, which has the same errors.
 */
final class BlockGptq {
  private final Backend backend;
  private final GptqOptions options;
  private final SuperBlock type;
  private final HessianFactor factor;
  private final Tensor w;
  private final Tensor codes;
  private final Tensor losses;
  private final int[] groupOf;
  private final BlockScales scales;

  /** What chooses the codes of weights, which it may overwrite, with grids that stay. */
  @FunctionalInterface
  interface Loop {
    /** Chooses them; losses are those of {@link Refiner}. */
    void run(Tensor w, Grid grid, Tensor codes, Tensor losses);
  }

  /**
   * Fits the scales.
   *
   * @param w weights in the order of quantization
   * @param codes the result in that order
   * @param losses out, {@code d(H + λI)dᵀ} of each row, rows × 1
   */
  BlockGptq(
      Backend backend,
      GptqOptions options,
      HessianFactor factor,
      Tensor w,
      Tensor codes,
      Tensor losses) {
    this.backend = backend;
    this.options = options;
    this.type = options.blocks().orElseThrow();
    this.factor = factor;
    this.w = w;
    this.codes = codes;
    this.losses = losses;
    this.groupOf = factor.order().stream().mapToInt(column -> column / type.groupSize()).toArray();
    this.scales = BlockFit.of(type, stored(HostCopies.floats(w)), w.rows(), costs());
  }

  /** The scales as they are. */
  BlockScales scales() {
    return scales;
  }

  /** Chooses the codes. */
  void run(Loop loop) {
    Refinement asked = options.refinement();
    loop(loop, codes, losses);
    if (!asked.needsHessian()) {
      return;
    }
    for (int i = 0; i < asked.refits(); i++) {
      refit();
      try (TensorScope local = backend.newScope()) {
        Tensor others = local.columnMajor(DType.U8, w.rows(), w.columns());
        loop(loop, others, losses);
        keepBetter(others, local);
      }
    }
    for (int i = 0; i < asked.sweeps(); i++) {
      try (TensorScope local = backend.newScope()) {
        refiner(local).refine(new Refinement(1, 0, 1, false), (copy, others, ofRows) -> {});
      }
      if (asked.refits() > 0) {
        refit();
      }
    }
    try (TensorScope local = backend.newScope()) {
      refiner(local).measure(codes, losses);
    }
  }

  private void loop(Loop loop, Tensor result, Tensor ofRows) {
    try (TensorScope local = backend.newScope()) {
      loop.run(shifted(local), grid(local), result, ofRows);
    }
  }

  /** {@code W − Q}, in the order of quantization. */
  Tensor difference(TensorScope scope) {
    try (TensorScope local = backend.newScope()) {
      return Gptq.difference(backend, shifted(local), grid(local), codes, scope);
    }
  }

  private Grid grid(TensorScope scope) {
    return scales.shifted(options.grid(), groupOf, scope);
  }

  /** {@code W + M}. */
  private Tensor shifted(TensorScope scope) {
    return scales.addOffsets(HostCopies.floats(w), groupOf, scope);
  }

  private Refiner refiner(TensorScope scope) {
    return new Refiner(
        backend, shifted(scope), factor.damped(), grid(scope), codes, losses, Optional.empty());
  }

  /** Takes those rows of other codes that lose less. */
  private void keepBetter(Tensor others, TensorScope scope) {
    Refiner refiner = refiner(scope);
    Tensor challengers = scope.columnMajor(DType.F32, w.rows(), 1);
    refiner.measure(codes, losses);
    refiner.measure(others, challengers);
    backend.linalg().replaceRows(challengers, losses, others, codes);
  }

  private void refit() {
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor difference = difference(local);
      Tensor gradient = local.columnMajor(DType.F32, w.rows(), w.columns());
      la.gemm(1, difference, factor.damped(), 0, gradient);
      new BlockRefit(scales, HostCopies.floats(factor.damped()), groupOf)
          .run(HostCopies.floats(gradient), HostCopies.bytes(codes), w.rows());
    }
  }

  /** Columns in the stored order. */
  private float[] stored(float[] ordered) {
    int rows = w.rows();
    float[] stored = new float[ordered.length];
    for (int p = 0; p < groupOf.length; p++) {
      System.arraycopy(ordered, p * rows, stored, factor.order().get(p) * rows, rows);
    }
    return stored;
  }

  /** What a squared error of each stored column costs when all later columns make up for it. */
  private float[] costs() {
    try (TensorScope local = backend.newScope()) {
      Tensor row = local.rowMajor(DType.F32, 1, groupOf.length);
      backend.linalg().diagonal(factor.v(), row);
      float[] pivots = HostCopies.floats(row);
      float[] costs = new float[pivots.length];
      for (int p = 0; p < pivots.length; p++) {
        costs[factor.order().get(p)] = pivots[p] * pivots[p];
      }
      return costs;
    }
  }
}
