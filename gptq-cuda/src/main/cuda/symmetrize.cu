// H[j][i] = H[i][j] for j < i: the lower triangle onto the upper one, tile by tile. A block reads
// one tile of the lower triangle and writes its mirror image.
#include "common.cuh"

static const int MIRROR_TILE = 32;

extern "C" __global__ void symmetrize(Matrix h) {
  __shared__ float tile[MIRROR_TILE][MIRROR_TILE + 1];
  if (blockIdx.x > blockIdx.y) {
    return;
  }
  int row = blockIdx.y * MIRROR_TILE;
  int column = blockIdx.x * MIRROR_TILE;
  for (int i = threadIdx.y; i < MIRROR_TILE; i += blockDim.y) {
    int r = row + i;
    int c = column + threadIdx.x;
    if (r < h.rows && c < h.rows) {
      tile[i][threadIdx.x] = h.at<float>(r, c);
    }
  }
  __syncthreads();
  for (int i = threadIdx.y; i < MIRROR_TILE; i += blockDim.y) {
    int r = column + i;
    int c = row + threadIdx.x;
    if (c < h.rows && r < c) {
      h.at<float>(r, c) = tile[threadIdx.x][i];
    }
  }
}
