// Sums and choices of rows. Columns are contiguous, so that lanes are rows.
#include "common.cuh"

static const int DOT_ROWS = 32;
static const int DOT_SLICES = 16;

/** out[i][h] = Σ a[i][j]·b[i][j] over run h of the columns: blockIdx.y counts runs. */
extern "C" __global__ void rowDots(Matrix a, Matrix b, Matrix out) {
  __shared__ float sums[DOT_SLICES][DOT_ROWS];
  int row = blockIdx.x * DOT_ROWS + threadIdx.x;
  int run = a.columns / out.columns;
  for (int h = blockIdx.y; h < out.columns; h += gridDim.y) {
    float sum = 0;
    if (row < a.rows) {
#pragma unroll 4
      for (int j = threadIdx.y; j < run; j += DOT_SLICES) {
        long long c = (long long)h * run + j;
        sum = fmaf(a.at<float>(row, c), b.at<float>(row, c), sum);
      }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && row < a.rows) {
      float total = 0;
      for (int s = 0; s < DOT_SLICES; s++) {
        total += sums[s][threadIdx.x];
      }
      out.at<float>(row, h) = total;
    }
    __syncthreads();
  }
}

template <class T>
__device__ inline void replaceRowsOf(const Matrix& challenger, const Matrix& incumbent,
                                     const Matrix& from, const Matrix& to) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < to.rows && challenger.at<float>(row, 0) < incumbent.at<float>(row, 0)) {
    for (int c = blockIdx.y; c < to.columns; c += gridDim.y) {
      to.at<T>(row, c) = from.at<T>(row, c);
    }
  }
}

/** to[i] = from[i] where challenger[i] < incumbent[i]. */
extern "C" __global__ void replaceRows_f32(Matrix challenger, Matrix incumbent, Matrix from,
                                           Matrix to) {
  replaceRowsOf<float>(challenger, incumbent, from, to);
}

extern "C" __global__ void replaceRows_u8(Matrix challenger, Matrix incumbent, Matrix from,
                                          Matrix to) {
  replaceRowsOf<u8>(challenger, incumbent, from, to);
}
