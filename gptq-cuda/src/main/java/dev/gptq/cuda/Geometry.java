package dev.gptq.cuda;

/**
 * The blocks of a launch and the threads of a block.
 *
 * @param gridX blocks in x, up to 2³¹ − 1
 * @param gridY blocks in y, up to 65535
 * @param gridZ blocks in z, up to 65535
 * @param blockX threads in x
 * @param blockY threads in y
 * @param sharedBytes dynamic shared memory of a block
 */
record Geometry(int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes) {

  static Geometry of(long gridX, int blockX) {
    return of(gridX, 1, blockX);
  }

  static Geometry of(long gridX, long gridY, int blockX) {
    return new Geometry(Math.toIntExact(gridX), Math.toIntExact(gridY), 1, blockX, 1, 0);
  }

  /** Tiles of {@code tile} × {@code tile} elements, x along the columns or the rows. */
  static Geometry tiles(int alongX, int alongY, int tile, int blockY) {
    return new Geometry(Math.ceilDiv(alongX, tile), Math.ceilDiv(alongY, tile), 1, tile, blockY, 0);
  }

  Geometry withBlockY(int threads) {
    return new Geometry(gridX, gridY, gridZ, blockX, threads, sharedBytes);
  }

  Geometry withGridZ(int blocks) {
    return new Geometry(gridX, gridY, blocks, blockX, blockY, sharedBytes);
  }

  Geometry withShared(int bytes) {
    return new Geometry(gridX, gridY, gridZ, blockX, blockY, bytes);
  }
}
