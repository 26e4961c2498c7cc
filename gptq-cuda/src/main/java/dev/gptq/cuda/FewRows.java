package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;

/** Products of {@link TiledWeights} with up to 16 rows at once, by packed_strip.cuh. */
final class FewRows {
  /** Rows that one launch takes. */
  private static final int MOST_AT_ONCE = 16;

  private static final int WARP = 32;

  /** Bytes that the lanes of a warp copy at once. */
  private static final int BYTES_OF_COPY = 512;

  private static final int MOST_NARROW = 3;

  /** Elements of x from which on reading it takes long enough for pairs of blocks to share it. */
  private static final long SHARED_FROM = 80_000;

  /**
   * A kernel.
   *
   * @param tiles STRIP: tiles of outputs of a block, or of a pair
   * @param stages STAGES: chunks of a warp in shared memory
   * @param warps warps of a block where shared memory allows
   */
  private record Strip(int tiles, int stages, int warps) {
    /** Bytes that a warp needs: STAGES of Chunk, then StripExchange in their place. */
    int sharedBytes(int bits, int fragments) {
      int rows = 8 * fragments;
      int outputs = tiles * TiledMatmul.TILE_OUT;
      int bytesOfWords = outputs * TiledMatmul.TILE_IN / Byte.SIZE * bits;
      int chunk =
          Math.ceilDiv(bytesOfWords, BYTES_OF_COPY) * BYTES_OF_COPY
              + outputs * Integer.BYTES
              + rows * (TiledMatmul.TILE_IN + 8) * Short.BYTES;
      return Math.max(stages * chunk, rows * (outputs + 4) * Float.BYTES);
    }

    /** The blocks of a launch, as large as the device's shared memory allows. */
    Geometry geometry(int blocks, int bits, int fragments, CudaDevice device) {
      int shared = sharedBytes(bits, fragments);
      int count = Math.min(warps, device.sharedMemory() / shared);
      return Geometry.of(blocks, WARP * count).withShared(count * shared);
    }
  }

  /** From the narrowest to the widest, for codes of up to {@link #MOST_NARROW} bits. */
  private static final ImmutableList<Strip> STRIPS_OF_NARROW =
      ImmutableList.of(
          new Strip(2, 3, 16),
          new Strip(4, 3, 12),
          new Strip(6, 3, 8),
          new Strip(8, 3, 8),
          new Strip(12, 3, 8),
          new Strip(14, 3, 8));

  private static final ImmutableList<Strip> STRIPS =
      ImmutableList.of(
          new Strip(2, 3, 16),
          new Strip(4, 3, 12),
          new Strip(6, 3, 8),
          new Strip(8, 3, 8),
          new Strip(12, 2, 8),
          new Strip(14, 2, 8));

  private static final Strip PAIR = new Strip(4, 3, 8);

  /** A launch: which kernel, and over how many blocks. */
  private record Choice(KernelImages image, String kernel, Strip strip, int blocks) {}

  private final CudaContext context;

  FewRows(CudaContext context) {
    this.context = context;
  }

  void matmul(CudaTensor x, TiledWeights w, CudaTensor y, String operation) {
    for (int first = 0; first < x.rows(); first += MOST_AT_ONCE) {
      int rows = Math.min(MOST_AT_ONCE, x.rows() - first);
      int fragments = rows > MOST_AT_ONCE / 2 ? 2 : 1;
      Choice choice = choose(rows, w);
      context.kernels().arguments().add(x).add(w).add(first).add(y);
      context
          .kernels()
          .launch(
              choice.image(),
              String.join(
                  "_",
                  choice.kernel(),
                  Integer.toString(w.bits()),
                  Integer.toString(choice.strip().tiles()),
                  Integer.toString(fragments)),
              choice.strip().geometry(choice.blocks(), w.bits(), fragments, context.device()),
              operation);
    }
  }

  private Choice choose(int rows, TiledWeights w) {
    int tiles = w.rows() / TiledMatmul.TILE_OUT;
    int processors = context.device().multiprocessors();
    int pairs = processors / 2;
    if (KernelImages.HOPPER.runsOn(context.device())
        && tiles <= pairs * PAIR.tiles()
        && (long) rows * w.columns() >= SHARED_FROM) {
      int blocks = 2 * Math.ceilDiv(tiles, Math.ceilDiv(tiles, pairs));
      return new Choice(KernelImages.HOPPER, "pairMatmul", PAIR, blocks);
    }
    ImmutableList<Strip> strips = w.bits() <= MOST_NARROW ? STRIPS_OF_NARROW : STRIPS;
    int waves = Math.ceilDiv(tiles, processors * strips.getLast().tiles());
    int tilesOfBlock = Math.ceilDiv(tiles, processors * waves);
    Strip strip = strips.stream().filter(s -> s.tiles() >= tilesOfBlock).findFirst().orElseThrow();
    int blocks = Math.ceilDiv(tiles, tilesOfBlock);
    return new Choice(KernelImages.TOLERANT, "stripMatmul", strip, blocks);
  }
}
