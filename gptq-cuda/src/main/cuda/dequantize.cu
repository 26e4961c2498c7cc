// w = s · (u − z). Codes have contiguous columns, w any layout: tiles of 32 × 32 pass through
// shared memory, so that both sides are read and written along their contiguous index.
#include "grid.cuh"

static const int DEQUANTIZE_TILE = 32;

extern "C" __global__ void dequantize(Matrix codes, Matrix scale, Matrix zero, Matrix groupOf,
                                      Matrix w) {
  __shared__ float tile[DEQUANTIZE_TILE][DEQUANTIZE_TILE + 1];
  int firstRow = blockIdx.x * DEQUANTIZE_TILE;
  int firstColumn = blockIdx.y * DEQUANTIZE_TILE;
  int row = firstRow + threadIdx.x;
  for (int i = threadIdx.y; i < DEQUANTIZE_TILE; i += blockDim.y) {
    int c = firstColumn + i;
    if (row < w.rows && c < w.columns) {
      int group = groupOf.at<int>(0, c);
      float value = valueOf(codes.at<u8>(row, c), scale.at<float>(row, group),
                            zero.at<float>(row, group));
      if (w.rowStride == 1) {
        w.at<float>(row, c) = value;
      } else {
        tile[i][threadIdx.x] = value;
      }
    }
  }
  if (w.rowStride != 1) {
    __syncthreads();
    int c = firstColumn + threadIdx.x;
    for (int i = threadIdx.y; i < DEQUANTIZE_TILE; i += blockDim.y) {
      if (firstRow + i < w.rows && c < w.columns) {
        w.at<float>(firstRow + i, c) = tile[threadIdx.x][i];
      }
    }
  }
}
