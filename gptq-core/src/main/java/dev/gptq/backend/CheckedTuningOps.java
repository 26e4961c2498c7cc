package dev.gptq.backend;

import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** Checks arguments, then delegates. */
record CheckedTuningOps(TuningOps delegate) implements TuningOps {

  @Override
  public void beginOffsets(Tensor w, Tensor codes, Grid grid, Tensor offsets) {
    Shapes shapes = matrices("beginOffsets", codes, grid, offsets);
    columns(shapes, "w", w, DType.F32, codes.rows(), codes.columns());
    delegate.beginOffsets(w, codes, grid, offsets);
  }

  @Override
  public void descend(
      Tensor gradient,
      Tensor codes,
      Grid grid,
      float step,
      float scaleStep,
      Tensor offsets,
      Tensor factors) {
    Shapes shapes = matrices("descend", codes, grid, offsets);
    columns(shapes, "gradient", gradient, DType.F32, codes.rows(), codes.columns());
    columns(shapes, "factors", factors, DType.F32, codes.rows(), grid.groups());
    delegate.descend(gradient, codes, grid, step, scaleStep, offsets, factors);
  }

  @Override
  public void tuned(
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      Tensor tunedCodes,
      Tensor tunedScale) {
    Shapes shapes = matrices("tuned", codes, grid, offsets);
    columns(shapes, "factors", factors, DType.F32, codes.rows(), grid.groups());
    columns(shapes, "tunedCodes", tunedCodes, DType.U8, codes.rows(), codes.columns());
    columns(shapes, "tunedScale", tunedScale, DType.F32, codes.rows(), grid.groups());
    delegate.tuned(codes, grid, offsets, factors, tunedCodes, tunedScale);
  }

  private static Shapes matrices(String operation, Tensor codes, Grid grid, Tensor offsets) {
    Shapes shapes = Shapes.of(operation);
    columns(shapes, "codes", codes, DType.U8, codes.rows(), codes.columns());
    columns(shapes, "scale", grid.scale(), DType.F32, codes.rows(), grid.groups());
    columns(shapes, "zero", grid.zero(), DType.F32, codes.rows(), grid.groups());
    return columns(shapes, "offsets", offsets, DType.F32, codes.rows(), codes.columns())
        .index("groupOf", grid.groupOf(), codes.columns());
  }

  private static Shapes columns(
      Shapes shapes, String name, Tensor t, DType type, int rows, int columns) {
    return shapes.type(name, t, type).columnMajor(name, t).shape(name, t, rows, columns);
  }
}
