package dev.gptq.simd;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.simd.kernels.ColumnKernels;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/** The exact operations: lanes are rows, so that no sum changes its order. */
final class SimdQuantizationOps implements QuantizationOps {
  private final Execution execution;
  private final Optional<ColumnKernels> kernels;

  /** With the column loop in Java, or by kernels outside of it. */
  SimdQuantizationOps(Execution execution, Optional<ColumnKernels> kernels) {
    this.execution = execution;
    this.kernels = kernels;
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
    Matrix ws = Rows.columns("w", w);
    Matrix us = Matrix.of(u);
    Matrix result = Rows.columns("codes", codes);
    if (kernels.isPresent() && us.rowsContiguous()) {
      OutsideColumns.quantize(execution, kernels.get(), ws, us, view(grid), result);
    } else {
      ColumnStrips.run(execution, ws, us, view(grid), result);
    }
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
    Matrix ws = Rows.columns("w", w);
    Matrix us = Rows.columns("codes", codes);
    Matrix result = Rows.columns("difference", difference);
    if (kernels.isPresent()) {
      OutsideColumns.subtract(execution, kernels.get(), ws, us, view(grid), result);
    } else {
      Nearest.subtract(execution, ws, us, view(grid), result);
    }
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
