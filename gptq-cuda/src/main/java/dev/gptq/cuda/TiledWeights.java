package dev.gptq.cuda;

/**
 * 4-bit weights in the tiles of packed_tiles.cuh.
 *
 * @param scope owner of the memory
 * @param rows output features, a multiple of 16
 * @param columns input features, a multiple of 64
 * @param tiles address of the codes
 * @param grids address of scales and zero points, groups × rows
 * @param groupSize columns of a group, a multiple of 64
 */
record TiledWeights(CudaScope scope, int rows, int columns, long tiles, long grids, int groupSize)
    implements DeviceWeights {

  @Override
  public long byteSize() {
    return (long) rows * columns / 2 + 4L * rows * (columns / groupSize);
  }
}
