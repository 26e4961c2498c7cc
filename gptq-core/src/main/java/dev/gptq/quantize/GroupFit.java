package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** Fits the grids of one group: the strategies behind {@link dev.gptq.grid.GridSearch}. */
@FunctionalInterface
interface GroupFit {

  /**
   * What a strategy may look at.
   *
   * @param w rows × columns of the group in the order of quantization, the current weights
   * @param u their diagonal block of U
   * @param cost 1 × columns: what a squared error of each column costs, for the searches that weigh
   *     columns
   */
  record Group(Tensor w, Upper u, Tensor cost) {}

  /** A block of U, computed for those who look at it. */
  @FunctionalInterface
  interface Upper {
    /** Columns × columns, rows contiguous, zeros below the diagonal, in {@code scope}. */
    Tensor in(TensorScope scope);
  }

  /** Fits a grid to each row; scale and zero are rows × 1. */
  void fit(Group group, Tensor scale, Tensor zero);

  /** The strategy that the options ask for. */
  static GroupFit of(Backend backend, GptqOptions options) {
    GridSpec spec = options.grid();
    boolean signed = options.refinement().signedScales();
    GridLadder fine = GridLadder.of(spec, GridLadder.FINE, signed);
    GridLadder coarse = GridLadder.of(spec, GridLadder.COARSE, signed);
    return switch (spec.search()) {
      case MIN_MAX, MSE ->
          (group, scale, zero) -> backend.quantization().fitGrid(group.w(), spec, scale, zero);
      case HESSIAN_DIAGONAL, PIVOT ->
          (group, scale, zero) ->
              backend
                  .quantization()
                  .fitGridWeighted(group.w(), group.cost(), spec, fine, scale, zero);
      case GROUP_CLIP -> new CandidateFit(backend, spec, coarse, new ClipError(backend));
      case LOOP ->
          new CandidateFit(backend, spec, coarse, new LoopError(backend, options.blockSize()));
    };
  }
}
