package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * {@code Σ e_j²} of the column loop over the group: exactly what the candidate's rounding errors
 * cost once the later columns of the group and all later groups make up for them.
 */
record LoopError(Backend backend, int block) implements CandidateFit.GroupError {

  @Override
  public CandidateFit.Measure of(GroupFit.Group group, TensorScope scope) {
    int rows = group.w().rows();
    int columns = group.w().columns();
    Tensor w = scope.columnMajor(DType.F32, rows, columns);
    Tensor codes = scope.columnMajor(DType.U8, rows, columns);
    Tensor u = group.u().in(scope);
    return (grid, errors) -> {
      backend.linalg().convert(group.w(), w);
      new ColumnLoop(backend, w, u, 0, ColumnLoop.Fits.NONE, grid, codes, columns, block).run();
      backend.linalg().rowDots(w, w, errors);
    };
  }
}
