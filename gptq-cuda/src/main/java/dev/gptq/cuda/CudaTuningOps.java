package dev.gptq.cuda;

import dev.gptq.backend.TuningOps;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;
import java.util.stream.Stream;

/** Tuning, a thread for each row of a column or a group. */
final class CudaTuningOps implements TuningOps {
  private static final int THREADS = 128;
  private static final int MAX_GRID_Y = 65535;

  private final CudaContext context;
  private final Kernels kernels;

  CudaTuningOps(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
  }

  @Override
  public void beginOffsets(Tensor w, Tensor codes, Grid grid, Tensor offsets) {
    grid(kernels.arguments().add(context.tensor(w)).add(context.tensor(codes)), grid)
        .add(context.tensor(offsets));
    launch("beginOffsets", context.tensor(codes), codes.columns());
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
    grid(kernels.arguments().add(context.tensor(gradient)).add(context.tensor(codes)), grid)
        .add(grid.spec())
        .add(step)
        .add(scaleStep)
        .add(context.tensor(offsets))
        .add(context.tensor(factors));
    launch("descendOffsets", context.tensor(codes), grid.groups());
  }

  @Override
  public void tuned(
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      Tensor tunedCodes,
      Tensor tunedScale) {
    // What no kernel reads must be of this backend all the same.
    Stream.of(grid.zero(), grid.groupOf()).forEach(context::tensor);
    kernels
        .arguments()
        .add(context.tensor(codes))
        .add(grid.spec())
        .add(context.tensor(offsets))
        .add(context.tensor(tunedCodes));
    launch("roundOffsets", context.tensor(codes), codes.columns());
    kernels
        .arguments()
        .add(context.tensor(grid.scale()))
        .add(context.tensor(factors))
        .add(grid.spec())
        .add(context.tensor(tunedScale));
    launch("roundFactors", context.tensor(grid.scale()), grid.groups());
  }

  private LaunchArguments grid(LaunchArguments arguments, Grid grid) {
    return arguments
        .add(context.tensor(grid.scale()))
        .add(context.tensor(grid.zero()))
        .add(context.tensor(grid.groupOf()));
  }

  private void launch(String kernel, CudaTensor t, int across) {
    if (!t.isEmpty()) {
      kernels.launch(
          KernelImages.EXACT,
          kernel,
          Geometry.of(Math.ceilDiv(t.rows(), THREADS), Math.min(across, MAX_GRID_Y), THREADS),
          kernel);
    }
  }
}
