package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import java.util.Comparator;

/** Products of {@link TiledWeights} with many rows, by packed_wgmma.cu. */
final class ManyRows {
  /** GROUP_OUT and GROUP_THREADS of packed_wgmma.cu. */
  private static final int OUTPUTS = 128;

  private static final int THREADS = 256;
  private static final int SWIZZLE = 1024;

  /**
   * A kernel.
   *
   * @param tokens TOKENS of packed_wgmma.cu: rows of x of a block
   * @param stages STAGES: chunks in shared memory
   * @param atOnce blocks that a processor holds
   * @param cycles cycles that a chunk takes a processor with one block, measured on an H100
   * @param cyclesOfAll the same with all blocks it holds
   */
  private record Shape(int tokens, int stages, int atOnce, int cycles, int cyclesOfAll) {
    int blocks(int rows, int outputs) {
      return Math.ceilDiv(rows, tokens) * Math.ceilDiv(outputs, OUTPUTS);
    }

    int time(int rows, int outputs, int processors) {
      int mostBlocks = Math.ceilDiv(blocks(rows, outputs), processors);
      return mostBlocks == 1 ? cycles : Math.ceilDiv(mostBlocks, atOnce) * cyclesOfAll;
    }

    /** STAGES of TokenChunk. */
    int sharedBytes() {
      int bytes =
          tokens * TiledMatmul.TILE_IN * Short.BYTES
              + OUTPUTS * TiledMatmul.TILE_IN / 2
              + OUTPUTS * Integer.BYTES;
      return stages * Math.ceilDiv(bytes, SWIZZLE) * SWIZZLE;
    }

    String kernel() {
      return "groupMatmul_" + tokens;
    }
  }

  private static final ImmutableList<Shape> SHAPES =
      ImmutableList.of(
          new Shape(64, 8, 2, 1090, 1700),
          new Shape(128, 5, 2, 1380, 2110),
          new Shape(256, 6, 1, 1935, 1935));

  private final CudaContext context;

  ManyRows(CudaContext context) {
    this.context = context;
  }

  /** Whether the device has the instructions, and the product is large enough to keep it busy. */
  boolean isSuited(int rows, int outputs) {
    return KernelImages.HOPPER.runsOn(context.device())
        && 3 * shape(rows, outputs).blocks(rows, outputs) >= 2 * processors();
  }

  /** Rows of x and y start at multiples of 16 bytes. */
  void matmul(CudaTensor x, TiledWeights w, CudaTensor y, String operation) {
    Shape shape = shape(x.rows(), w.rows());
    context.kernels().arguments().add(x).add(w).add(y);
    context
        .kernels()
        .launch(
            KernelImages.HOPPER,
            shape.kernel(),
            Geometry.of(shape.blocks(x.rows(), w.rows()), THREADS).withShared(shape.sharedBytes()),
            operation);
  }

  private int processors() {
    return context.device().multiprocessors();
  }

  /** The shape with which the busiest processor is done first. */
  private Shape shape(int rows, int outputs) {
    return SHAPES.stream()
        .min(Comparator.comparingInt(s -> s.time(rows, outputs, processors())))
        .orElseThrow();
  }
}
