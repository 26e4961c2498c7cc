package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import dev.gptq.grid.Grid;

/**
 * The launches of beam_block.cu and, for few paths of few columns, beam_eight.cu: a warp a row, as
 * many rows a block as shared memory holds, but no more than there are for each multiprocessor.
 */
final class BeamBlock {
  private static final String OPERATION = "beamBlock";
  private static final int WARP = 32;

  /** Rows whose elements fill a sector of memory. */
  private static final int MOST_ROWS = 8;

  /** EIGHT and BLOCK_COLUMNS of beam_eight.cu. */
  private static final int FEW_PATHS = 8;

  private static final int FEW_COLUMNS = 128;

  /** Bytes of EightPaths and of Pivots. */
  private static final int EIGHT_PATHS =
      4 * (FEW_COLUMNS + 4) * FEW_PATHS + 6 * FEW_PATHS * FEW_COLUMNS + 4 * FEW_PATHS;

  private static final int PIVOTS = 12 * FEW_COLUMNS;

  /** The most warps of a block of beam_eight.cu, of which a multiprocessor has two. */
  private static final int MOST_ROWS_OF_FEW_PATHS = 7;

  private final CudaContext context;

  BeamBlock(CudaContext context) {
    this.context = context;
  }

  void launch(
      CudaTensor w, CudaTensor cost, CudaTensor u, Grid grid, CudaTensor codes, CudaTensor source) {
    int even = Math.ceilDiv(cost.rows(), context.device().multiprocessors());
    arguments(w, cost, u, grid, codes, source);
    if (cost.columns() <= FEW_PATHS && w.columns() <= FEW_COLUMNS) {
      int most = (context.device().sharedMemory() - PIVOTS) / EIGHT_PATHS;
      int blocks = Math.ceilDiv(even, Math.min(MOST_ROWS_OF_FEW_PATHS, most));
      int rows = Math.max(1, Math.ceilDiv(even, Math.max(1, blocks)));
      launch("beamBlock_8", cost, rows, PIVOTS + rows * EIGHT_PATHS);
    } else {
      int bytes = bytes(cost.columns(), w.columns());
      int most = Math.min(MOST_ROWS, context.device().sharedMemory() / bytes);
      int rows = Math.clamp(even, 1, most);
      launch(OPERATION, cost, rows, rows * bytes);
    }
  }

  private void arguments(
      CudaTensor w, CudaTensor cost, CudaTensor u, Grid grid, CudaTensor codes, CudaTensor source) {
    context
        .kernels()
        .arguments()
        .add(w)
        .add(cost)
        .add(u)
        .add(context.tensor(grid.scale()))
        .add(context.tensor(grid.zero()))
        .add(context.tensor(grid.groupOf()))
        .add(grid.spec())
        .add(codes)
        .add(source);
  }

  /** With so many rows a block. */
  private void launch(String kernel, CudaTensor cost, int rows, int bytes) {
    if (cost.rows() > 0) {
      Geometry geometry =
          Geometry.of(Math.ceilDiv(cost.rows(), rows), WARP).withBlockY(rows).withShared(bytes);
      context.kernels().launch(KernelImages.EXACT, kernel, geometry, OPERATION);
    }
  }

  void keepDescendants(CudaTensor origin, CudaTensor cost) {
    context.kernels().arguments().add(origin).add(cost);
    if (!cost.isEmpty()) {
      String operation = "keepDescendants";
      Geometry geometry = Elementwise.over(cost.transposed());
      context.kernels().launch(KernelImages.EXACT, operation, geometry, operation);
    }
  }

  /** Beam::bytes, checked. */
  private int bytes(int paths, int columns) {
    Preconditions.checkArgument(
        paths <= WARP, "the cuda backend holds up to %s paths a row, not %s", WARP, paths);
    long bytes = Math.ceilDiv(14L * paths * columns + 8L * columns + 4L * paths, 16) * 16;
    int limit = context.device().sharedMemory();
    Preconditions.checkArgument(
        bytes <= limit,
        "%s paths of blocks of %s columns take %s bytes of shared memory, and the GPU has %s; use"
            + " fewer paths or smaller blocks",
        paths,
        columns,
        bytes,
        limit);
    return Math.toIntExact(bytes);
  }
}
