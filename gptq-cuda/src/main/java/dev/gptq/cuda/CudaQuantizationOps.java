package dev.gptq.cuda;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/** The exact operations, a kernel each. */
final class CudaQuantizationOps implements QuantizationOps {
  /**
   * FIT_ROWS of fit_range.cuh, FIT_SLICES of fit_grid.cu, LADDER_SLICES of fit_grid_weighted.cu.
   */
  private static final int FIT_ROWS = 32;

  private static final int FIT_SLICES = 16;

  private static final int LADDER_SLICES = 12;

  /** BLOCK_COLUMNS of block.cuh. */
  private static final int BLOCK_COLUMNS = 128;

  /** Threads and rows of a block of quantize_block.cu. */
  private static final int BLOCK_THREADS = 160;

  private static final int BLOCK_ROWS = 32;

  /** Threads and rows of a block of descend_block.cu. */
  private static final int DESCENT_THREADS = 128;

  private static final int DESCENT_ROWS = 8;

  private static final int TILE = 32;
  private static final int THREADS = 128;

  /** QUAD and WEIGHT_COLUMNS of quantize_nearest.cu. */
  private static final int FEW = 4;

  private static final int MAX_GRID_Y = 65535;

  private final CudaContext context;
  private final Kernels kernels;
  private final BeamBlock beam;
  private final RefitSystems systems;
  private final ScaleRefits refits;

  CudaQuantizationOps(CudaContext context, CudaLinearAlgebra linalg) {
    this.context = context;
    this.kernels = context.kernels();
    this.beam = new BeamBlock(context);
    this.systems = new RefitSystems(context, linalg);
    this.refits = new ScaleRefits(context);
  }

  @Override
  public void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    if (spec.search() != GridSearch.MSE) {
      candidateGrid(w, spec, 1, 0, scale, zero);
      return;
    }
    CudaTensor t = context.tensor(w);
    kernels.arguments().add(t).add(spec).add(context.tensor(scale)).add(context.tensor(zero));
    launchFit(t, 1, FIT_SLICES, "fitGridMse", "fitGrid");
  }

  @Override
  public void fitGroups(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    if (spec.search() != GridSearch.MIN_MAX || scale.columns() > MAX_GRID_Y) {
      QuantizationOps.super.fitGroups(w, spec, scale, zero);
      return;
    }
    candidateGrid(w, spec, 1, 0, scale, zero);
  }

  @Override
  public void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero) {
    CudaTensor t = context.tensor(w);
    kernels
        .arguments()
        .add(t)
        .add(spec)
        .add(shrink)
        .add(zeroShift)
        .add(context.tensor(scale))
        .add(context.tensor(zero));
    launchFit(t, scale.columns(), FIT_SLICES, "candidateGrid", "candidateGrid");
  }

  @Override
  public void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero) {
    CudaTensor t = context.tensor(w);
    kernels
        .arguments()
        .add(t)
        .add(context.tensor(weight))
        .add(spec)
        .add(ladder)
        .add(context.tensor(scale))
        .add(context.tensor(zero));
    int own = Math.ceilDiv(ladder.rungs().size(), LADDER_SLICES);
    int kernel = own <= 3 ? 3 : own <= 6 ? 6 : 9;
    launchFit(t, 1, LADDER_SLICES, "fitGridWeighted_" + kernel, "fitGridWeighted");
  }

  /** For groups of w, with so many threads a row. */
  private void launchFit(CudaTensor w, int groups, int slices, String kernel, String operation) {
    if (w.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          kernel,
          Geometry.of(Math.ceilDiv(w.rows(), FIT_ROWS), groups, FIT_ROWS).withBlockY(slices),
          operation);
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
        launchRest(block, factors.columns(next, end), wt.columns(next, end), "quantizeBlock");
      }
    }
  }

  private void launchBlock(CudaTensor w, CudaTensor u, Grid grid, CudaTensor codes) {
    grid(kernels.arguments().add(w).add(u), grid).add(grid.spec()).add(codes);
    if (w.rows() > 0) {
      // Of any number of columns: below the diagonal warps leave messages.
      kernels.launch(
          KernelImages.EXACT,
          "quantizeBlock",
          Geometry.of(Math.ceilDiv(w.rows(), BLOCK_ROWS), BLOCK_THREADS)
              .withShared(BLOCK_COLUMNS * BLOCK_COLUMNS * Float.BYTES),
          "quantizeBlock");
    }
  }

  /** {@code w ← w − e·u}, column by column of e. */
  private void launchRest(CudaTensor e, CudaTensor u, CudaTensor w, String operation) {
    kernels.arguments().add(e).add(u).add(w);
    if (w.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          "quantizeBlockRest",
          Geometry.of(Math.ceilDiv(w.rows(), THREADS), w.columns(), THREADS),
          operation);
    }
  }

  @Override
  public void quantizeNearest(Tensor w, Grid grid, Tensor codes) {
    CudaTensor t = context.tensor(w);
    grid(kernels.arguments().add(t), grid).add(grid.spec()).add(context.tensor(codes));
    if (!t.isEmpty()) {
      kernels.launch(KernelImages.EXACT, "quantizeNearest", few(t), "quantizeNearest");
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

  @Override
  public void subtract(Tensor w, Tensor codes, Grid grid, Tensor difference) {
    CudaTensor t = context.tensor(w);
    grid(kernels.arguments().add(t).add(context.tensor(codes)), grid)
        .add(context.tensor(difference));
    if (!t.isEmpty()) {
      kernels.launch(KernelImages.EXACT, "subtract", few(t), "subtract");
    }
  }

  /** Four rows and four columns a thread, as in quantize_nearest.cu. */
  private static Geometry few(CudaTensor t) {
    int rows = Math.ceilDiv(t.rows(), FEW * THREADS);
    return Geometry.of(rows, Math.min(Math.ceilDiv(t.columns(), FEW), MAX_GRID_Y), THREADS);
  }

  private LaunchArguments grid(LaunchArguments arguments, Grid grid) {
    return arguments
        .add(context.tensor(grid.scale()))
        .add(context.tensor(grid.zero()))
        .add(context.tensor(grid.groupOf()));
  }

  @Override
  public void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source) {
    beam.launch(
        context.tensor(w),
        context.tensor(cost),
        context.tensor(u),
        grid,
        context.tensor(codes),
        context.tensor(source));
  }

  @Override
  public void keepDescendants(Tensor origin, Tensor cost) {
    beam.keepDescendants(context.tensor(origin), context.tensor(cost));
  }

  @Override
  public void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta) {
    CudaTensor gt = context.tensor(gradient);
    CudaTensor ht = context.tensor(h);
    CudaTensor ct = context.tensor(codes);
    CudaTensor dt = context.tensor(delta);
    int columns = gt.columns();
    for (int from = 0; from < columns; from += BLOCK_COLUMNS) {
      int to = Math.min(columns, from + BLOCK_COLUMNS);
      CudaTensor moved = dt.columns(from, to);
      CudaTensor rows = ht.rows(from, to);
      launchDescent(
          gt.columns(from, to), rows.columns(from, to), grid, from, ct.columns(from, to), moved);
      if (from > 0) {
        launchRest(moved, rows.columns(0, from), gt.columns(0, from), "descendBlock");
      }
      if (to < columns) {
        launchRest(moved, rows.columns(to, columns), gt.columns(to, columns), "descendBlock");
      }
    }
  }

  private void launchDescent(
      CudaTensor gradient, CudaTensor h, Grid grid, int from, CudaTensor codes, CudaTensor delta) {
    CudaTensor groupOf = context.tensor(grid.groupOf()).columns(from, from + gradient.columns());
    kernels
        .arguments()
        .add(gradient)
        .add(h)
        .add(context.tensor(grid.scale()))
        .add(groupOf)
        .add(grid.spec())
        .add(codes)
        .add(delta);
    if (gradient.rows() > 0) {
      kernels.launch(
          KernelImages.EXACT,
          "descendBlock",
          Geometry.of(Math.ceilDiv(gradient.rows(), DESCENT_ROWS), DESCENT_THREADS)
              .withShared(gradient.columns() * BLOCK_COLUMNS * Float.BYTES),
          "descendBlock");
    }
  }

  @Override
  public void refitSystem(
      Tensor steps, Tensor difference, Tensor h, Tensor normal, Tensor gradient) {
    systems.run(
        context.tensor(steps),
        context.tensor(difference),
        context.tensor(h),
        context.tensor(normal),
        context.tensor(gradient));
  }

  @Override
  public void refitScales(
      Tensor normal, Tensor gradient, GridSpec spec, Tensor scale, Tensor change) {
    refits.launch(
        context.tensor(normal),
        context.tensor(gradient),
        spec,
        context.tensor(scale),
        context.tensor(change));
  }
}
