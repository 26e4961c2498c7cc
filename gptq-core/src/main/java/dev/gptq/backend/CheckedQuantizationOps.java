package dev.gptq.backend;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** Checks arguments, then delegates. */
record CheckedQuantizationOps(QuantizationOps delegate) implements QuantizationOps {

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    Shapes.of("fitGrid")
        .type("w", w, DType.F32)
        .columnMajor("w", w)
        .type("scale", scale, DType.F32)
        .columnMajor("scale", scale)
        .shape("scale", scale, w.rows(), 1)
        .type("zero", zero, DType.F32)
        .columnMajor("zero", zero)
        .shape("zero", zero, w.rows(), 1);
    delegate.fitGrid(w, spec, scale, zero);
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    checkGrid(Shapes.of("quantizeBlock"), w, grid, codes)
        .columnMajor("w", w)
        .type("u", u, DType.F32)
        .rowMajor("u", u)
        .shape("u", u, w.columns(), w.columns());
    delegate.quantizeBlock(w, u, grid, codes);
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    checkGrid(Shapes.of("quantizeNearest"), w, grid, codes).columnMajor("w", w);
    delegate.quantizeNearest(w, grid, codes);
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    checkGrid(Shapes.of("dequantize"), w, grid, codes);
    delegate.dequantize(codes, grid, w);
  }

  private static Shapes checkGrid(Shapes shapes, Tensor w, Grid grid, Tensor codes) {
    return shapes
        .type("w", w, DType.F32)
        .type("codes", codes, DType.U8)
        .columnMajor("codes", codes)
        .shape("codes", codes, w.rows(), w.columns())
        .type("scale", grid.scale(), DType.F32)
        .columnMajor("scale", grid.scale())
        .shape("scale", grid.scale(), w.rows(), grid.groups())
        .type("zero", grid.zero(), DType.F32)
        .columnMajor("zero", grid.zero())
        .shape("zero", grid.zero(), w.rows(), grid.groups())
        .index("groupOf", grid.groupOf(), w.columns());
  }
}
