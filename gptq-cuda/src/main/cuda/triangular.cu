// The inverses of small blocks of a triangular matrix.
#include "common.cuh"

static const int INVERSE_BLOCK = 64;

/**
 * The inverses of the diagonal blocks of up to 64 columns of an upper triangular V, in the diagonal
 * blocks of U of u.columns columns, and zeros left of them. A thread computes a column of the lower
 * triangular X = (V⁻¹)ᵀ: x(i) = (δ − Σ_{k<i} v(k, i)·x(k)) / v(i, i).
 */
extern "C" __global__ void invertDiagonalBlocks(Matrix v, Matrix u) {
  __shared__ float block[INVERSE_BLOCK][INVERSE_BLOCK + 1];
  __shared__ float inverse[INVERSE_BLOCK][INVERSE_BLOCK + 1];
  int parts = (u.columns + INVERSE_BLOCK - 1) / INVERSE_BLOCK;
  int within = int(blockIdx.x) % parts * INVERSE_BLOCK;
  long long from = (long long)(int(blockIdx.x) / parts) * u.columns;
  long long first = from + within;
  long long end = from + u.columns < v.rows ? from + u.columns : v.rows;
  int size = end - first < INVERSE_BLOCK ? int(end - first) : INVERSE_BLOCK;
  int column = threadIdx.x;
  for (int i = 0; i < size; i++) {
    if (column <= i) {
      block[i][column] = v.at<float>(first + column, first + i);
    }
  }
  __syncthreads();
  if (column < size) {
    for (int i = 0; i < size; i++) {
      float sum = i == column ? 1.0f : 0.0f;
      for (int k = column; k < i; k++) {
        sum = fmaf(-block[i][k], inverse[k][column], sum);
      }
      inverse[i][column] = i < column ? 0.0f : sum / block[i][i];
    }
  }
  __syncthreads();
  for (int r = 0; r < size; r++) {
    for (int c = column; c < within; c += INVERSE_BLOCK) {
      u.at<float>(first + r, c) = 0.0f;
    }
    if (column < size) {
      u.at<float>(first + r, within + column) = inverse[column][r];
    }
  }
}
