package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** Tries the candidates of a ladder one after the other and keeps each row's best. */
record CandidateFit(Backend backend, GridSpec spec, GridLadder ladder, GroupError error)
    implements GroupFit {

  /** The error of a candidate on a group of columns. */
  @FunctionalInterface
  interface GroupError {
    /**
     * Prepares what all candidates share.
     *
     * @param scope lives as long as the measure
     */
    Measure of(Group group, TensorScope scope);
  }

  /** Measures candidates. */
  @FunctionalInterface
  interface Measure {
    /** Writes the error of each row with these grids into errors, rows × 1. */
    void measure(Grid grid, Tensor errors);
  }

  @Override
  public void fit(Group group, Tensor scale, Tensor zero) {
    int rows = group.w().rows();
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Measure measure = error.of(group, local);
      Tensor best = local.filled(Float.POSITIVE_INFINITY, rows, 1);
      Tensor errors = local.columnMajor(DType.F32, rows, 1);
      Grid grid =
          new Grid(
              spec,
              local.columnMajor(DType.F32, rows, 1),
              local.columnMajor(DType.F32, rows, 1),
              local.upload(new int[group.w().columns()]));
      for (GridLadder.Rung c : ladder.rungs()) {
        backend
            .quantization()
            .candidateGrid(group.w(), spec, c.shrink(), c.zeroShift(), grid.scale(), grid.zero());
        measure.measure(grid, errors);
        la.replaceRows(errors, best, grid.scale(), scale);
        la.replaceRows(errors, best, grid.zero(), zero);
        la.replaceRows(errors, best, errors, best);
      }
    }
  }
}
