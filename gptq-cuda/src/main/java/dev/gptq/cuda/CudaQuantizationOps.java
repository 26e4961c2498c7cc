package dev.gptq.cuda;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/** The exact operations, a kernel each. */
final class CudaQuantizationOps implements QuantizationOps {
  /** FIT_ROWS and FIT_SLICES of fit_grid.cu. */
  private static final int FIT_ROWS = 32;

  private static final int FIT_SLICES = 16;

  /** BLOCK_COLUMNS, ROW_THREADS and the rows of a block of quantize_block.cu. */
  private static final int BLOCK_COLUMNS = 128;

  private static final int BLOCK_THREADS = 128;
  private static final int BLOCK_ROWS = 32;

  private static final int TILE = 32;
  private static final int THREADS = 128;
  private static final int MAX_GRID_Y = 65535;

  private final CudaContext context;
  private final Kernels kernels;

  CudaQuantizationOps(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
  }

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    CudaTensor t = context.tensor(w);
    kernels.arguments().add(t).add(spec).add(context.tensor(scale)).add(context.tensor(zero));
    if (t.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          spec.search() == GridSearch.MSE ? "fitGridMse" : "fitGridMinMax",
          Geometry.of(Math.ceilDiv(t.rows(), FIT_ROWS), FIT_ROWS).withBlockY(FIT_SLICES),
          "fitGrid");
    }
  }

  @Override
  public void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes) {
    CudaTensor wt = context.tensor(w);
    CudaTensor ut = context.tensor(u);
    CudaTensor ct = context.tensor(codes);
    int columns = wt.columns();
    for (int from = 0; from < columns; from += BLOCK_COLUMNS) {
      int to = Math.min(columns, from + BLOCK_COLUMNS);
      CudaTensor block = wt.columns(from, to);
      CudaTensor factors = ut.rows(from, to);
      launchBlock(block, factors.columns(from, to), grid.columns(from, to), ct.columns(from, to));
      for (int next = to; next < columns; next += MAX_GRID_Y) {
        int end = Math.min(columns, next + MAX_GRID_Y);
        launchRest(block, factors.columns(next, end), wt.columns(next, end));
      }
    }
  }

  private void launchBlock(CudaTensor w, CudaTensor u, Grid grid, CudaTensor codes) {
    grid(kernels.arguments().add(w).add(u), grid).add(grid.spec()).add(codes);
    if (w.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          "quantizeBlock",
          Geometry.of(Math.ceilDiv(w.rows(), BLOCK_ROWS), BLOCK_THREADS)
              .withShared(w.columns() * BLOCK_COLUMNS * Float.BYTES),
          "quantizeBlock");
    }
  }

  private void launchRest(CudaTensor e, CudaTensor u, CudaTensor w) {
    kernels.arguments().add(e).add(u).add(w);
    if (w.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          "quantizeBlockRest",
          Geometry.of(Math.ceilDiv(w.rows(), THREADS), w.columns(), THREADS),
          "quantizeBlock");
    }
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    CudaTensor t = context.tensor(w);
    grid(kernels.arguments().add(t), grid).add(grid.spec()).add(context.tensor(codes));
    if (!t.isEmpty()) {
      kernels.launch(
          KernelImages.EXACT,
          "quantizeNearest",
          Geometry.of(Math.ceilDiv(t.rows(), THREADS), Math.min(t.columns(), MAX_GRID_Y), THREADS),
          "quantizeNearest");
    }
  }

  @Override
  public void dequantize(Tensor codes, Grid grid, Tensor w) {
    CudaTensor t = context.tensor(w);
    grid(kernels.arguments().add(context.tensor(codes)), grid).add(t);
    if (!t.isEmpty()) {
      kernels.launch(
          KernelImages.EXACT,
          "dequantize",
          Geometry.tiles(t.rows(), t.columns(), TILE, 8),
          "dequantize");
    }
  }

  private LaunchArguments grid(LaunchArguments arguments, Grid grid) {
    return arguments
        .add(context.tensor(grid.scale()))
        .add(context.tensor(grid.zero()))
        .add(context.tensor(grid.groupOf()));
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
