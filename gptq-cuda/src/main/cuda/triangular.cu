// The parts of a Cholesky factorisation and of a triangular inverse that no library has: reversing
// a matrix in place, looking for pivots that are not positive, inverting small blocks.
#include "elementwise.cuh"

static const int INVERSE_BLOCK = 64;

/** H[i][j] and H[n−1−i][n−1−j] change places. H has contiguous rows; blockIdx.x < ⌈n/2⌉. */
extern "C" __global__ void reverseBoth(Matrix h) {
  int n = h.rows;
  int mirrored = n - 1 - int(blockIdx.x);
  Matrix upper = h;
  upper.columns = mirrored == int(blockIdx.x) ? n / 2 : n;
  forEachElement(upper, [&](long long r, long long c) {
    float& one = h.at<float>(r, c);
    float& other = h.at<float>(n - 1 - r, n - 1 - c);
    float value = one;
    one = other;
    other = value;
  });
}

/**
 * info = the one-based index of the first diagonal element not in (0, ∞), if that is less than what
 * the factorisation found or it found none: it takes infinite pivots for good ones.
 */
extern "C" __global__ void checkPivots(Matrix l, int* info) {
  int n = l.rows;
  int first = n + 1;
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    float pivot = l.at<float>(j, j);
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
