// One grid a row: scale and zero from the row's extremes, or the best of 80 shrunken ranges.
#include "fit_range.cuh"

static const int FIT_SLICES = 16;
static const int FIT_CANDIDATES = 80;
static const int FIT_OWN = FIT_CANDIDATES / FIT_SLICES;

/**
 * s = R((hi − lo)·p/levels), z = clamp(rint(−p·lo/s) + zeroShift) for one p of every row and group,
 * a run of the columns.
 */
extern "C" __global__ void candidateGrid(Matrix w, GridSpec spec, float p, int zeroShift,
                                         Matrix scale, Matrix zero) {
  int row = blockIdx.x * FIT_ROWS + threadIdx.x;
  int group = blockIdx.y;
  Matrix run = w;
  run.columns = w.columns / scale.columns;
  run.data = &w.at<float>(0, (long long)group * run.columns);
  Range range = Range::of<FIT_SLICES>(run, row, spec);
  if (threadIdx.y == 0 && row < w.rows) {
    Fit fit = range.fit(p, zeroShift, spec);
    scale.at<float>(row, group) = fit.scale;
    zero.at<float>(row, group) = fit.zero;
  }
}

/**
 * The first of the candidates p = 1 − i/100 with the least Σ |q(w) − w|^2.4. A thread sums 5 of a
 * row's 80 candidates, each in the order of the columns.
 */
extern "C" __global__ void fitGridMse(Matrix w, GridSpec spec, Matrix scale, Matrix zero) {
  __shared__ float tile[FIT_TILE][FIT_ROWS];
  int row = blockIdx.x * FIT_ROWS + threadIdx.x;
  Range range = Range::of<FIT_SLICES>(w, row, spec);
  Divisor scales[FIT_OWN];
  float zeros[FIT_OWN];
  float error[FIT_OWN];
#pragma unroll
  for (int i = 0; i < FIT_OWN; i++) {
    Fit fit = range.fit(float(1 - (threadIdx.y + i * FIT_SLICES) / 100.0), 0, spec);
    scales[i] = Divisor(fit.scale);
    zeros[i] = fit.zero;
    error[i] = 0.0f;
  }
  for (int from = 0; from < w.columns; from += FIT_TILE) {
    int count = w.columns - from < FIT_TILE ? w.columns - from : FIT_TILE;
    loadFitTile<FIT_SLICES>(w, row, from, tile);
    for (int c = 0; c < count; c++) {
      float v = tile[c][threadIdx.x];
#pragma unroll
      for (int i = 0; i < FIT_OWN; i++) {
        error[i] = __fadd_rn(error[i], errorNorm(errorOf(v, scales[i], zeros[i], spec)));
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
  best = bestOfRow<FIT_SLICES>(least, best);
  if (threadIdx.y == 0 && row < w.rows) {
    Fit fit = range.fit(float(1 - best / 100.0), 0, spec);
    scale.at<float>(row, 0) = fit.scale;
    zero.at<float>(row, 0) = fit.zero;
  }
}
