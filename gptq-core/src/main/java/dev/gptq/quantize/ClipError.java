package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * {@code ‖D·U_g⁻¹‖²} with D the errors of rounding each weight of the group to nearest: the
 * quadratic form of the group's errors after all later groups have made up for them.
 */
record ClipError(Backend backend) implements CandidateFit.GroupError {

  @Override
  public CandidateFit.Measure of(GroupFit.Group group, TensorScope scope) {
    int rows = group.w().rows();
    int columns = group.w().columns();
    Tensor inverse = scope.rowMajor(DType.F32, columns, columns);
    backend.linalg().invertDiagonalBlocks(group.u().in(scope), inverse);
    Tensor codes = scope.columnMajor(DType.U8, rows, columns);
    Tensor difference = scope.columnMajor(DType.F32, rows, columns);
    Tensor scaled = scope.columnMajor(DType.F32, rows, columns);
    return (grid, errors) -> {
      backend.quantization().quantizeNearest(group.w(), grid, codes);
      backend.quantization().dequantize(codes, grid, difference);
      backend.linalg().axpy(-1, group.w(), difference);
      backend.linalg().gemm(1, difference, inverse, 0, scaled);
      backend.linalg().rowDots(scaled, scaled, errors);
    };
  }
}
