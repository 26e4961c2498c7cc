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
    GridFit.run(
        execution,
        Rows.columns("w", w),
        spec,
        Rows.columns("scale", scale),
        Rows.columns("zero", zero));
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    ColumnStrips.run(
        execution, Rows.columns("w", w), Matrix.of(u), view(grid), Rows.columns("codes", codes));
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    Nearest.quantize(execution, Rows.columns("w", w), view(grid), Rows.columns("codes", codes));
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    Nearest.dequantize(execution, Rows.columns("codes", codes), view(grid), Matrix.of(w));
  }

  @Override
  public void subtract(Tensor w, Tensor codes, Grid grid, Tensor difference) {
    Nearest.subtract(
        execution,
        Rows.columns("w", w),
        Rows.columns("codes", codes),
        view(grid),
        Rows.columns("difference", difference));
  }

  @Override
  public void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero) {
    GridFit.candidate(
        execution,
        Rows.columns("w", w),
        spec,
        shrink,
        zeroShift,
        Rows.columns("scale", scale),
        Rows.columns("zero", zero));
  }

  @Override
  public void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero) {
    WeightedGridFit.run(
        execution,
        Rows.columns("w", w),
        Activations.rows("weight", weight),
        spec,
        ladder,
        Rows.columns("scale", scale),
        Rows.columns("zero", zero));
  }

  @Override
  public void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source) {
    BeamStrips.run(
        execution,
        Rows.columns("w", w),
        Rows.columns("cost", cost),
        Matrix.of(u),
        view(grid),
        Rows.columns("codes", codes),
        Activations.rows("source", source));
  }

  @Override
  public void keepDescendants(Tensor origin, Tensor cost) {
    BeamStrips.keepDescendants(Activations.rows("origin", origin), Rows.columns("cost", cost));
  }

  @Override
  public void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta) {
    Descent.run(
        execution,
        Rows.columns("gradient", gradient),
        Matrix.of(h),
        view(grid),
        Rows.columns("codes", codes),
        Rows.columns("delta", delta));
  }

  @Override
  public void refitSystem(
      Tensor steps, Tensor difference, Tensor h, Tensor normal, Tensor gradient) {
    RefitSystem.run(
        execution,
        Rows.columns("steps", steps),
        Rows.columns("difference", difference),
        Matrix.of(h),
        Rows.columns("normal", normal),
        Rows.columns("gradient", gradient));
  }

  @Override
  public void refitScales(
      Tensor normal, Tensor gradient, GridSpec spec, Tensor scale, Tensor change) {
    ScaleRefit.run(
        execution,
        Rows.columns("normal", normal),
        Rows.columns("gradient", gradient),
        spec,
        Rows.columns("scale", scale),
        Rows.columns("change", change));
  }

  private static GridView view(Grid grid) {
    Rows.columns("scale", grid.scale());
    Rows.columns("zero", grid.zero());
    return new GridView(grid);
  }
}
