package dev.gptq.cuda;

/**
 * Weights in the tiles of packed_tiles.cuh.
 *
 * @param scope owner of the memory
 * @param bits bits of a code
 * @param rows output features, a multiple of 16
 * @param columns input features, a multiple of 64
 * @param tiles address of the codes
 * @param grids address of scales and zero points, groups × rows
 * @param groupSize columns of a group, a multiple of 64
 */
record TiledWeights(
    CudaScope scope, int bits, int rows, int columns, long tiles, long grids, int groupSize)
    implements DeviceWeights {

  /** Bytes of the codes. */
  static long bytesOfTiles(int bits, int rows, int columns) {
    return (long) rows * columns / Byte.SIZE * bits;
  }

  @Override
  public long byteSize() {
    return bytesOfTiles(bits, rows, columns) + 4L * rows * (columns / groupSize);
  }
}
