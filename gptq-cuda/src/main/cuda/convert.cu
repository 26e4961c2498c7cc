// dst = src between real types and layouts, rounded to nearest even. dst has contiguous rows; where
// src has contiguous columns, tiles of 32 × 32 are transposed in shared memory.
#include "common.cuh"

static const int CONVERT_TILE = 32;

extern "C" __global__ void convert(Matrix src, Matrix dst) {
  __shared__ float tile[CONVERT_TILE][CONVERT_TILE + 1];
  int firstRow = blockIdx.x * CONVERT_TILE;
  int firstColumn = blockIdx.y * CONVERT_TILE;
  bool transposed = src.columnStride != 1;
  if (transposed) {
    int row = firstRow + threadIdx.x;
    for (int i = threadIdx.y; i < CONVERT_TILE; i += blockDim.y) {
      if (row < src.rows && firstColumn + i < src.columns) {
        tile[threadIdx.x][i] = loadReal(src, src.index(row, firstColumn + i));
      }
    }
    __syncthreads();
  }
  int column = firstColumn + threadIdx.x;
  for (int i = threadIdx.y; i < CONVERT_TILE; i += blockDim.y) {
    int row = firstRow + i;
    if (row < dst.rows && column < dst.columns) {
      float value = transposed ? tile[i][threadIdx.x] : loadReal(src, src.index(row, column));
      storeReal(dst, dst.index(row, column), value);
    }
  }
}
