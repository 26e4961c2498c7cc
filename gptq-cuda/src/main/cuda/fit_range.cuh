// What the kernels that fit grids share: 32 rows a block, some threads a row, one in each slice.
#pragma once
#include "grid.cuh"

static const int FIT_ROWS = 32;
static const int FIT_TILE = 32;

/** What a row's grid has to cover. */
struct Range {
  float lo;
  float hi;

  /** The row's extremes, with zero, mirrored for schemes without a zero point. */
  template <int SLICES>
  __device__ static Range of(const Matrix& w, int row, const GridSpec& spec) {
    __shared__ float least[SLICES][FIT_ROWS];
    __shared__ float most[SLICES][FIT_ROWS];
    float lo = 0.0f;
    float hi = 0.0f;
    if (row < w.rows) {
      for (int c = threadIdx.y; c < w.columns; c += SLICES) {
        float v = w.at<float>(row, c);
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
      }
    }
    least[threadIdx.y][threadIdx.x] = lo;
    most[threadIdx.y][threadIdx.x] = hi;
    __syncthreads();
    for (int s = 0; s < SLICES; s++) {
      lo = least[s][threadIdx.x] < lo ? least[s][threadIdx.x] : lo;
      hi = most[s][threadIdx.x] > hi ? most[s][threadIdx.x] : hi;
    }
    if (!spec.hasZeroPoint) {
      hi = -lo > hi ? -lo : hi;
      lo = -hi;
    }
    return lo == 0 && hi == 0 ? Range{-1.0f, 1.0f} : Range{lo, hi};
  }

  /** The grid of p·lo … p·hi. */
  __device__ Fit fit(float p, int zeroShift, const GridSpec& spec) const {
    return fitRange(__fmul_rn(p, lo), __fmul_rn(p, hi), zeroShift, spec);
  }
};

/** q(v) − v. */
__device__ inline float errorOf(float v, const Divisor& scale, float zero, const GridSpec& spec) {
  float code = codeNumber(scale.divide(v), zero, spec);
  return __fsub_rn(__fmul_rn(scale.value, __fsub_rn(code, zero)), v);
}

/** Whether plainErrorOf has the errors of a scale for all numbers of a range. */
__device__ inline bool isPlain(const Divisor& scale, const Range& range, const GridSpec& spec) {
  float reach = fmaxf(-range.lo, range.hi);
  return !spec.midRise && scale.reciprocal != 0 && reach <= 524288.0f * fabsf(scale.value);
}

/** errorOf without branches, for quotients of less than 2^20. */
__device__ inline float plainErrorOf(float v, const Divisor& scale, float zero,
                                     const GridSpec& spec) {
  float code = __fadd_rn(nearestInteger(scale.steps(v)), zero);
  code = fminf(fmaxf(code, float(spec.minCode)), float(spec.maxCode));
  return __fsub_rn(__fmul_rn(scale.value, __fsub_rn(code, zero)), v);
}

/** A tile of FIT_TILE columns from `from`, [column][row], to shared memory; zeros beyond. */
template <int SLICES>
__device__ inline void loadFitTile(const Matrix& w, int row, int from, float (*tile)[FIT_ROWS]) {
  __syncthreads();
  for (int c = threadIdx.y; c < FIT_TILE; c += SLICES) {
    tile[c][threadIdx.x] =
        row < w.rows && from + c < w.columns ? w.at<float>(row, from + c) : 0.0f;
  }
  __syncthreads();
}

/** The candidate with the least error of a row, the first of those; threadIdx.y = 0 gets it. */
template <int SLICES>
__device__ inline int bestOfRow(float least, int best) {
  __shared__ float errors[SLICES][FIT_ROWS];
  __shared__ int candidates[SLICES][FIT_ROWS];
  errors[threadIdx.y][threadIdx.x] = least;
  candidates[threadIdx.y][threadIdx.x] = best;
  __syncthreads();
  for (int s = 0; s < SLICES; s++) {
    float other = errors[s][threadIdx.x];
    int candidate = candidates[s][threadIdx.x];
    if (other < least || (other == least && candidate < best)) {
      least = other;
      best = candidate;
    }
  }
  return best;
}
