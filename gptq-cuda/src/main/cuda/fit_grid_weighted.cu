// One grid a row: the candidate of a ladder with the least Σ weight_j·(q(w_j) − w_j)².
#include "fit_range.cuh"

static const int LADDER_SHRINKS = 96;

/** Threads a row. Ladders have multiples of 36 candidates or half as many. */
static const int LADDER_SLICES = 12;

/** A dev.gptq.grid.GridLadder. */
struct Ladder {
  int shrinks;
  int zeroReach;
  float shrink[LADDER_SHRINKS];

  __device__ int candidates() const { return shrinks * (1 + 2 * zeroReach); }

  /** Candidate i of a row: for each shrink the zero shifts 0, −1, +1. */
  __device__ Fit fit(const Range& range, int i, const GridSpec& spec) const {
    int shifts = 1 + 2 * zeroReach;
    int k = i % shifts;
    return range.fit(shrink[i / shifts], k == 0 ? 0 : k == 1 ? -1 : 1, spec);
  }
};

/** A thread's candidates of a row. */
template <int OWN>
struct LadderErrors {
  Divisor scales[OWN];
  float zeros[OWN];
  float errors[OWN];

  /** error = Σ fma(d², weight_j, error) goes on with the columns of a tile. */
  template <bool ANY>
  __device__ void add(float (*tile)[FIT_ROWS], const float* weights, int columns,
                      const GridSpec& spec) {
    for (int c = 0; c < columns; c++) {
      float v = tile[c][threadIdx.x];
      float cost = weights[c];
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        float d = ANY ? errorOf(v, scales[i], zeros[i], spec)
                      : plainErrorOf(v, scales[i], zeros[i], spec);
        errors[i] = __fmaf_rn(__fmul_rn(d, d), cost, errors[i]);
      }
    }
  }
};

/**
 * The first candidate with the least error = Σ fma(d², weight_j, error) in the order of the columns,
 * d = q(w_j) − w_j. A thread sums OWN of a row's candidates at a time, without branches where no
 * row of its warp needs them.
 */
template <int OWN>
__device__ inline void fitGridWeightedOf(const Matrix& w, const Matrix& weight,
                                         const GridSpec& spec, const Ladder& ladder,
                                         const Matrix& scale, const Matrix& zero) {
  __shared__ float tile[FIT_TILE][FIT_ROWS];
  __shared__ float weights[FIT_TILE];
  int row = blockIdx.x * FIT_ROWS + threadIdx.x;
  Range range = Range::of<LADDER_SLICES>(w, row, spec);
  int candidates = ladder.candidates();
  float least = __uint_as_float(0x7f800000u);
  int best = threadIdx.y;
  for (int first = 0; first < candidates; first += OWN * LADDER_SLICES) {
    LadderErrors<OWN> own;
    bool plain = true;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int candidate = first + i * LADDER_SLICES + threadIdx.y;
      Fit fit = ladder.fit(range, candidate < candidates ? candidate : 0, spec);
      own.scales[i] = Divisor(fit.scale);
      own.zeros[i] = fit.zero;
      own.errors[i] = 0.0f;
      plain = plain && isPlain(own.scales[i], range, spec);
    }
    bool anyRow = reduceWarp(int(!plain), Max()) != 0;
    for (int from = 0; from < w.columns; from += FIT_TILE) {
      int count = w.columns - from < FIT_TILE ? w.columns - from : FIT_TILE;
      loadFitTile<LADDER_SLICES>(w, row, from, tile);
      if (threadIdx.y == 0 && threadIdx.x < count) {
        weights[threadIdx.x] = weight.at<float>(0, from + threadIdx.x);
      }
      __syncthreads();
      if (anyRow) {
        own.template add<true>(tile, weights, count, spec);
      } else {
        own.template add<false>(tile, weights, count, spec);
      }
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int candidate = first + i * LADDER_SLICES + threadIdx.y;
      float error = own.errors[i];
      // Nothing is less than a NaN that comes first.
      bool stays = candidate == 0 && error != error;
      if (candidate < candidates && (stays || error < least)) {
        least = stays ? -1.0f : error;
        best = candidate;
      }
    }
  }
  best = bestOfRow<LADDER_SLICES>(least, best);
  if (threadIdx.y == 0 && row < w.rows) {
    Fit fit = ladder.fit(range, best, spec);
    scale.at<float>(row, 0) = fit.scale;
    zero.at<float>(row, 0) = fit.zero;
  }
}

#define FIT_GRID_WEIGHTED(own)                                                              \
  extern "C" __global__ void __launch_bounds__(FIT_ROWS* LADDER_SLICES, 2)                  \
      fitGridWeighted_##own(Matrix w, Matrix weight, GridSpec spec,                         \
                            const GRID_CONSTANT Ladder ladder, Matrix scale, Matrix zero) { \
    fitGridWeightedOf<own>(w, weight, spec, ladder, scale, zero);                           \
  }
FIT_GRID_WEIGHTED(3)
FIT_GRID_WEIGHTED(6)
FIT_GRID_WEIGHTED(9)
