package dev.gptq.simd;

import dev.gptq.backend.TuningOps;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;

/** Tuning, runs of rows shared among the workers. */
final class SimdTuningOps implements TuningOps {
  private final Execution execution;

  SimdTuningOps(Execution execution) {
    this.execution = execution;
  }

  @Override
  public void beginOffsets(Tensor w, Tensor codes, Grid grid, Tensor offsets) {
    Matrix wm = Rows.columns("w", w);
    tuning(codes, grid, offsets).begin(wm);
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
    Matrix d = Rows.columns("gradient", gradient);
    tuning(codes, grid, offsets)
        .descend(d, step, scaleStep, Rows.columns("factors", factors), grid.groups());
  }

  @Override
  public void tuned(
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      Tensor tunedCodes,
      Tensor tunedScale) {
    Matrix to = Rows.columns("tunedCodes", tunedCodes);
    tuning(codes, grid, offsets).round(to);
    Tuning.scales(
        Rows.columns("scale", grid.scale()),
        Rows.columns("factors", factors),
        grid.spec(),
        Rows.columns("tunedScale", tunedScale));
  }

  private Tuning tuning(Tensor codes, Grid grid, Tensor offsets) {
    Rows.columns("scale", grid.scale());
    Rows.columns("zero", grid.zero());
    return new Tuning(
        execution,
        Rows.columns("codes", codes),
        new GridView(grid),
        Rows.columns("offsets", offsets));
  }
}
