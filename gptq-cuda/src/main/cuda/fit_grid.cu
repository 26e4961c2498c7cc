// One grid a row: scale and zero from the row's extremes, or the best of 80 shrunken ranges.
#include "grid.cuh"

static const int FIT_ROWS = 32;
static const int FIT_SLICES = 16;
static const int FIT_CANDIDATES = 80;
static const int FIT_OWN = FIT_CANDIDATES / FIT_SLICES;
static const int FIT_TILE = 32;

/** The row's extremes, with zero, mirrored for schemes without a zero point. */
__device__ inline void rangeOf(const Matrix& w, int row, const GridSpec& spec, float& lo,
                               float& hi) {
  __shared__ float least[FIT_SLICES][FIT_ROWS];
  __shared__ float most[FIT_SLICES][FIT_ROWS];
  lo = 0.0f;
  hi = 0.0f;
  if (row < w.rows) {
    for (int c = threadIdx.y; c < w.columns; c += FIT_SLICES) {
      float v = w.at<float>(row, c);
      lo = v < lo ? v : lo;
      hi = v > hi ? v : hi;
    }
  }
  least[threadIdx.y][threadIdx.x] = lo;
  most[threadIdx.y][threadIdx.x] = hi;
  __syncthreads();
  for (int s = 0; s < FIT_SLICES; s++) {
    lo = least[s][threadIdx.x] < lo ? least[s][threadIdx.x] : lo;
    hi = most[s][threadIdx.x] > hi ? most[s][threadIdx.x] : hi;
  }
  if (!spec.hasZeroPoint) {
    hi = -lo > hi ? -lo : hi;
    lo = -hi;
  }
  if (lo == 0 && hi == 0) {
    lo = -1.0f;
    hi = 1.0f;
  }
}

/** lo = min(0, w…), hi = max(0, w…), s = R((hi − lo)/levels), z = clamp(rint(−lo/s)). */
extern "C" __global__ void fitGridMinMax(Matrix w, GridSpec spec, Matrix scale, Matrix zero) {
  int row = blockIdx.x * FIT_ROWS + threadIdx.x;
  float lo, hi;
  rangeOf(w, row, spec, lo, hi);
  if (threadIdx.y == 0 && row < w.rows) {
    Fit fit = fitRange(lo, hi, spec);
    scale.at<float>(row, 0) = fit.scale;
    zero.at<float>(row, 0) = fit.zero;
  }
}

/**
 * The first of the candidates p = 1 − i/100 with the least Σ |q(w) − w|^2.4. A thread sums 5 of a
 * row's 80 candidates, each in the order of the columns.
 */
extern "C" __global__ void fitGridMse(Matrix w, GridSpec spec, Matrix scale, Matrix zero) {
  __shared__ float tile[FIT_TILE][FIT_ROWS];
  __shared__ float errors[FIT_SLICES][FIT_ROWS];
  __shared__ int candidates[FIT_SLICES][FIT_ROWS];
  int row = blockIdx.x * FIT_ROWS + threadIdx.x;
  float lo, hi;
  rangeOf(w, row, spec, lo, hi);
  Fit fits[FIT_OWN];
  float error[FIT_OWN];
#pragma unroll
  for (int i = 0; i < FIT_OWN; i++) {
    float p = float(1 - (threadIdx.y + i * FIT_SLICES) / 100.0);
    fits[i] = fitRange(__fmul_rn(p, lo), __fmul_rn(p, hi), spec);
    error[i] = 0.0f;
  }
  for (int from = 0; from < w.columns; from += FIT_TILE) {
    int count = w.columns - from < FIT_TILE ? w.columns - from : FIT_TILE;
    __syncthreads();
    for (int c = threadIdx.y; c < count; c += FIT_SLICES) {
      tile[c][threadIdx.x] = row < w.rows ? w.at<float>(row, from + c) : 0.0f;
    }
    __syncthreads();
    for (int c = 0; c < count; c++) {
      float v = tile[c][threadIdx.x];
#pragma unroll
      for (int i = 0; i < FIT_OWN; i++) {
        int code = codeOf(v, fits[i].scale, fits[i].zero, spec);
        float q = valueOf(code, fits[i].scale, fits[i].zero);
        error[i] = __fadd_rn(error[i], errorNorm(__fsub_rn(q, v)));
      }
    }
  }
  float least = __uint_as_float(0x7f800000u);
  int best = 0;
#pragma unroll
  for (int i = 0; i < FIT_OWN; i++) {
    if (error[i] < least) {
      least = error[i];
      best = threadIdx.y + i * FIT_SLICES;
    }
  }
  errors[threadIdx.y][threadIdx.x] = least;
  candidates[threadIdx.y][threadIdx.x] = best;
  __syncthreads();
  if (threadIdx.y == 0 && row < w.rows) {
    for (int s = 1; s < FIT_SLICES; s++) {
      float other = errors[s][threadIdx.x];
      int candidate = candidates[s][threadIdx.x];
      if (other < least || (other == least && candidate < best)) {
        least = other;
        best = candidate;
      }
    }
    float p = float(1 - best / 100.0);
    Fit fit = fitRange(__fmul_rn(p, lo), __fmul_rn(p, hi), spec);
    scale.at<float>(row, 0) = fit.scale;
    zero.at<float>(row, 0) = fit.zero;
  }
}
