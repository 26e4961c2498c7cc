package dev.gptq.simd;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/** The exact operations: lanes are rows, so that no sum changes its order. */
final class SimdQuantizationOps implements QuantizationOps {
  private final Execution execution;

  SimdQuantizationOps(Execution execution) {
    this.execution = execution;
  }

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    GridFit.run(execution, columns("w", w), spec, Matrix.of(scale), Matrix.of(zero));
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    ColumnLoop.run(execution, columns("w", w), Matrix.of(u), view(grid), columns("codes", codes));
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    Nearest.quantize(execution, columns("w", w), view(grid), columns("codes", codes));
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    Nearest.dequantize(execution, columns("codes", codes), view(grid), Matrix.of(w));
  }

  private static GridView view(Grid grid) {
    columns("scale", grid.scale());
    columns("zero", grid.zero());
    return new GridView(grid);
  }

  /** A single column out of a row-major matrix passes the layout check, yet is not contiguous. */
  private static Matrix columns(String name, Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    if (m.rowStride() != 1 && m.rows() > 1) {
      throw new IllegalArgumentException(
          name + " is a column of a row-major matrix; copy it to contiguous memory first");
    }
    return m;
  }

  @Override
  public void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero) {
    throw new UnsupportedOperationException("candidateGrid");
  }

  @Override
  public void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero) {
    throw new UnsupportedOperationException("fitGridWeighted");
  }

  @Override
  public void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source) {
    throw new UnsupportedOperationException("beamBlock");
  }

  @Override
  public void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta) {
    throw new UnsupportedOperationException("descendBlock");
  }

  @Override
  public void refitScales(Tensor normal, Tensor gradient, GridSpec spec, Tensor scale) {
    throw new UnsupportedOperationException("refitScales");
  }
}
