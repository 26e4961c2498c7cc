// The parts of U = J·L⁻¹·J with JHJ = LLᵀ that no library has: reversing, inverting the diagonal
// blocks of L, and looking for pivots that are not positive. Work matrices are n × n, dense, with
// contiguous columns, as cuSOLVER has them.
#include "common.cuh"

static const int REVERSE_TILE = 32;
static const int INVERSE_BLOCK = 64;

/** work = the lower triangle of J·H·J: work(b, a) = H[n−1−a][n−1−b] for b ≥ a, zero above. */
extern "C" __global__ void reverseLower(Matrix h, float* work) {
  long long n = h.rows;
  long long a = blockIdx.x;
  for (long long b = blockIdx.y * blockDim.x + threadIdx.x; b < n; b += gridDim.y * blockDim.x) {
    work[a * n + b] = b >= a ? h.at<float>(n - 1 - a, n - 1 - b) : 0.0f;
  }
}

/** U[i][j] = X(n−1−i, n−1−j) for i ≤ j, zero below; X lower triangular. */
extern "C" __global__ void reverseToUpper(const float* x, Matrix u) {
  __shared__ float tile[REVERSE_TILE][REVERSE_TILE + 1];
  long long n = u.rows;
  long long firstRow = (long long)blockIdx.y * REVERSE_TILE;
  long long firstColumn = (long long)blockIdx.x * REVERSE_TILE;
  for (int k = threadIdx.y; k < REVERSE_TILE; k += blockDim.y) {
    long long i = firstRow + threadIdx.x;
    long long j = firstColumn + k;
    if (i < n && j < n) {
      tile[threadIdx.x][k] = i <= j ? x[(n - 1 - j) * n + (n - 1 - i)] : 0.0f;
    }
  }
  __syncthreads();
  for (int k = threadIdx.y; k < REVERSE_TILE; k += blockDim.y) {
    long long i = firstRow + k;
    long long j = firstColumn + threadIdx.x;
    if (i < n && j < n) {
      u.at<float>(i, j) = tile[k][threadIdx.x];
    }
  }
}

/**
 * info = the one-based index of the first diagonal element not in (0, ∞), if that is less than what
 * the factorisation found or it found none: it takes infinite pivots for good ones.
 */
extern "C" __global__ void checkPivots(const float* l, int n, int* info) {
  int first = n + 1;
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    float pivot = l[(long long)j * n + j];
    bool good = pivot > 0 && pivot < __uint_as_float(0x7f800000u);
    if (!good && j + 1 < first) {
      first = j + 1;
    }
  }
  first = -reduceBlock(-first, -(n + 1), Max());
  if (threadIdx.x == 0 && first <= n && (*info == 0 || first < *info)) {
    *info = first;
  }
}

/**
 * The inverses of the diagonal blocks of L, in place, zeros above the diagonal. A thread computes
 * a column of X: x(i) = (δ − Σ_{k<i} l(i, k)·x(k)) / l(i, i).
 */
extern "C" __global__ void invertDiagonalBlocks(float* l, int n) {
  __shared__ float block[INVERSE_BLOCK][INVERSE_BLOCK + 1];
  __shared__ float inverse[INVERSE_BLOCK][INVERSE_BLOCK + 1];
  long long first = (long long)blockIdx.x * INVERSE_BLOCK;
  int size = n - first < INVERSE_BLOCK ? int(n - first) : INVERSE_BLOCK;
  int column = threadIdx.x;
  for (int c = 0; c < size; c++) {
    if (column < size) {
      block[column][c] = l[(first + c) * n + first + column];
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
  for (int c = 0; c < size; c++) {
    if (column < size) {
      l[(first + c) * n + first + column] = inverse[column][c];
    }
  }
}
