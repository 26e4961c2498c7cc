package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import dev.gptq.grid.Grid;

/**
 * The launch of beam_block.cu: a warp a row, as many rows a block as shared memory holds, but no
 * more than there are for each multiprocessor.
 */
final class BeamBlock {
  private static final String OPERATION = "beamBlock";
  private static final int WARP = 32;

  /** Rows whose elements fill a sector of memory. */
  private static final int MOST_ROWS = 8;

  private final CudaContext context;

  BeamBlock(CudaContext context) {
    this.context = context;
  }

  void launch(
      CudaTensor w, CudaTensor cost, CudaTensor u, Grid grid, CudaTensor codes, CudaTensor source) {
    int paths = cost.columns();
    Preconditions.checkArgument(
        paths <= WARP, "the cuda backend holds up to %s paths a row, not %s", WARP, paths);
    long bytes = bytes(paths, w.columns());
    int limit = context.device().sharedMemory();
    Preconditions.checkArgument(
        bytes <= limit,
        "%s paths of blocks of %s columns take %s bytes of shared memory, and the GPU has %s; use"
            + " fewer paths or smaller blocks",
        paths,
        w.columns(),
        bytes,
        limit);
    int even = Math.ceilDiv(cost.rows(), context.device().multiprocessors());
    int rows = Math.toIntExact(Math.clamp(even, 1, Math.min(MOST_ROWS, limit / bytes)));
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
    if (cost.rows() > 0) {
      context
          .kernels()
          .launch(
              KernelImages.EXACT,
              OPERATION,
              Geometry.of(Math.ceilDiv(cost.rows(), rows), WARP)
                  .withBlockY(rows)
                  .withShared(Math.toIntExact(rows * bytes)),
              OPERATION);
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

  /** Beam::bytes. */
  private static long bytes(int paths, int columns) {
    return Math.ceilDiv(14L * paths * columns + 8L * columns + 4L * paths, 16) * 16;
  }
}
