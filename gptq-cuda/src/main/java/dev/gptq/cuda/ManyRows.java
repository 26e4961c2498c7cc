package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import dev.gptq.cuda.driver.BoxLayout;
import dev.gptq.cuda.driver.BoxLayout.Element;

/** Products of {@link TiledWeights} of 4 bits with many rows, by packed_wgmma.cu. */
final class ManyRows {
  /** TEAM_WARPS, TEAM_THREADS, COPY_THREADS and GROUP_OUT of packed_wgmma.cu. */
  private static final int TEAM_WARPS = 8;

  private static final int TEAM_THREADS = 256;
  private static final int COPY_THREADS = 128;
  private static final int OUTPUTS = 128;

  private static final int BITS = 4;
  private static final int WORDS_OF_TILE = 128;
  private static final int ALIGNMENT = 1024;

  /** Bytes of the two barriers of a chunk. */
  private static final int BARRIERS = 16;

  /** Cycles that a launch and each further wave of blocks take besides their chunks, on an H100. */
  private static final long LAUNCH_CYCLES = 5000;

  private static final long WAVE_CYCLES = 5000;

  /**
   * A kernel.
   *
   * @param tokens TOKENS of packed_wgmma.cu: rows of x of a block
   * @param stages STAGES: chunks in shared memory
   * @param teams TEAMS: teams of warps
   * @param cycles cycles that a chunk takes a processor, measured on an H100
   */
  private record Shape(int tokens, int stages, int teams, int cycles) {
    int blocks(int rows, int groups) {
      return Math.ceilDiv(rows, tokens) * groups;
    }

    long time(int rows, int groups, int chunks, int processors) {
      long waves = Math.ceilDiv(blocks(rows, groups), processors);
      return groups == 0 ? 0 : LAUNCH_CYCLES + waves * (WAVE_CYCLES + (long) chunks * cycles);
    }

    /** Ring, of which the barriers are rounded up to its alignment. */
    int sharedBytes() {
      int chunk =
          tokens * TiledMatmul.TILE_IN * Short.BYTES
              + OUTPUTS * TiledMatmul.TILE_IN / 2
              + OUTPUTS * Integer.BYTES;
      return stages * Math.ceilDiv(chunk, ALIGNMENT) * ALIGNMENT
          + Math.ceilDiv(stages * BARRIERS, ALIGNMENT) * ALIGNMENT;
    }
  }

  private static final ImmutableList<Shape> SHAPES =
      ImmutableList.of(
          new Shape(64, 12, 2, 560), new Shape(128, 8, 2, 690), new Shape(256, 6, 1, 1100));

  /**
   * Which kernels share the outputs, in groups of {@link #OUTPUTS}: the first ones fill the device
   * some times over, the last ones are cut so that no processor idles at the end.
   */
  private record Plan(Shape first, int groups, Shape last, long time) {}

  private final CudaContext context;

  ManyRows(CudaContext context) {
    this.context = context;
  }

  /** Whether the kernels read these weights and the device has the instructions. */
  boolean isSuited(TiledWeights w) {
    return w.bits() == BITS && KernelImages.HOPPER.runsOn(context.device());
  }

  /** Rows of x and y start at multiples of 16 bytes. */
  void matmul(CudaTensor x, TiledWeights w, CudaTensor y, String operation) {
    int groups = Math.ceilDiv(w.rows(), OUTPUTS);
    Plan plan = plan(x.rows(), groups, w.columns() / TiledMatmul.TILE_IN);
    launch(plan.first(), 0, plan.groups(), x, w, y, operation);
    launch(plan.last(), plan.groups(), groups - plan.groups(), x, w, y, operation);
  }

  private void launch(
      Shape shape,
      int from,
      int groups,
      CudaTensor x,
      TiledWeights w,
      CudaTensor y,
      String operation) {
    if (groups == 0) {
      return;
    }
    long tiles = w.rows() / TiledMatmul.TILE_OUT;
    int chunks = w.columns() / TiledMatmul.TILE_IN;
    long wordsOfTiles = (long) chunks * WORDS_OF_TILE;
    context
        .kernels()
        .arguments()
        .add(
            context.queue().driver(),
            new BoxLayout(
                Element.BFLOAT,
                x.address(),
                x.columns(),
                x.rows(),
                x.rowStride() * Short.BYTES,
                TiledMatmul.TILE_IN,
                shape.tokens(),
                true),
            new BoxLayout(
                Element.INTEGER,
                w.tiles(),
                wordsOfTiles,
                tiles,
                wordsOfTiles * Integer.BYTES,
                WORDS_OF_TILE,
                TEAM_WARPS,
                false),
            new BoxLayout(
                Element.INTEGER,
                w.grids(),
                w.rows(),
                w.columns() / w.groupSize(),
                (long) w.rows() * Integer.BYTES,
                OUTPUTS,
                1,
                false))
        .add(y)
        .add(chunks)
        .add(w.groupSize() / TiledMatmul.TILE_IN)
        .add(from * TEAM_WARPS);
    context
        .kernels()
        .launch(
            KernelImages.HOPPER,
            "groupMatmul_" + shape.tokens(),
            Geometry.of(shape.blocks(x.rows(), groups), shape.teams() * TEAM_THREADS + COPY_THREADS)
                .withShared(shape.sharedBytes()),
            operation);
  }

  /** The plan that is done first. */
  private Plan plan(int rows, int groups, int chunks) {
    int processors = context.device().multiprocessors();
    Plan best = null;
    for (Shape first : SHAPES) {
      int columns = Math.ceilDiv(rows, first.tokens());
      for (int waves = 0; waves * processors / columns < groups; waves++) {
        int ofFirst = waves * processors / columns;
        long time = first.time(rows, ofFirst, chunks, processors);
        for (Shape last : SHAPES) {
          long whole = time + last.time(rows, groups - ofFirst, chunks, processors);
          if (best == null || whole < best.time()) {
            best = new Plan(first, ofFirst, last, whole);
          }
        }
      }
    }
    return best;
  }
}
