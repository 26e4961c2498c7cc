// The diagonal of a square matrix, read into a row vector or added to.
#include "common.cuh"

/** d[j] = H[j][j]. */
extern "C" __global__ void diagonal(Matrix h, Matrix d) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j < h.rows) {
    d.at<float>(0, j) = h.at<float>(j, j);
  }
}

/** H[j][j] = H[j][j] + d[j]. */
extern "C" __global__ void addToDiagonal(Matrix d, Matrix h) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j < h.rows) {
    h.at<float>(j, j) += d.at<float>(0, j);
  }
}
