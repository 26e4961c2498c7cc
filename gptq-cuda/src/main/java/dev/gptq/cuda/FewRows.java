package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;

/** Products of {@link TiledWeights} with up to 16 rows at once, by packed_mma.cu. */
final class FewRows {
  /** Rows that one launch takes. */
  static final int MOST_AT_ONCE = 16;

  /** ROUND_TILES of packed_mma.cu. */
  private static final int ROUND_TILES = 4;

  private static final int WARP = 32;

  /**
   * A kernel.
   *
   * @param tiles STRIP of packed_mma.cu: tiles that its blocks take at once
   * @param stages STAGES: chunks of a warp in shared memory
   * @param warps warps of a block where shared memory allows
   */
  private record Strip(int tiles, int stages, int warps) {
    /** STAGES of Chunk and one Exchange a warp. */
    int sharedBytes(int fragments, int warps) {
      int rows = 8 * fragments;
      int outputs = tiles * TiledMatmul.TILE_OUT;
      int chunk =
          outputs * TiledMatmul.TILE_IN / 2
              + outputs * Integer.BYTES
              + rows * (TiledMatmul.TILE_IN + 8) * Short.BYTES;
      int exchanged = Math.min(tiles, ROUND_TILES) * TiledMatmul.TILE_OUT + 4;
      return warps * (stages * chunk + rows * exchanged * Float.BYTES);
    }
  }

  /** From the narrowest to the widest. */
  private static final ImmutableList<Strip> STRIPS =
      ImmutableList.of(new Strip(2, 3, 16), new Strip(4, 2, 16), new Strip(7, 2, 12));

  private final CudaContext context;

  FewRows(CudaContext context) {
    this.context = context;
  }

  void matmul(CudaTensor x, TiledWeights w, CudaTensor y, String operation) {
    int tiles = w.rows() / TiledMatmul.TILE_OUT;
    int tilesOfBlock = Math.ceilDiv(tiles, context.device().multiprocessors());
    Strip strip =
        STRIPS.stream().filter(s -> s.tiles() >= tilesOfBlock).findFirst().orElse(STRIPS.getLast());
    for (int first = 0; first < x.rows(); first += MOST_AT_ONCE) {
      int fragments = x.rows() - first > MOST_AT_ONCE / 2 ? 2 : 1;
      int warps = strip.warps();
      while (strip.sharedBytes(fragments, warps) > context.device().sharedMemory()) {
        warps /= 2;
      }
      context.kernels().arguments().add(x).add(w).add(first).add(y);
      context
          .kernels()
          .launch(
              KernelImages.TOLERANT,
              "tiledMatmul_" + strip.tiles() + "_" + fragments,
              Geometry.of(Math.ceilDiv(tiles, tilesOfBlock), WARP * warps)
                  .withShared(strip.sharedBytes(fragments, warps)),
              operation);
    }
  }
}
