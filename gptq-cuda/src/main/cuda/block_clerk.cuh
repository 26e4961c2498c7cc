// The warp of quantizeBlock that brings grids to the chain and takes away what it found.
#pragma once
#include "block_memory.cuh"

/** Lanes are rows. A step's grids are there two steps before it, its results go one after it. */
struct Clerk {
  static const int LANES = 32;
  static const int PARTS = BLOCK_COLUMNS / LANES;

  /** Lane l has the groups of columns l, l + 32, …; −1 where there is none. */
  int groupOf[PARTS];

  /** Of the eight columns that are to be stored next. */
  int group[STEP];
  bool fresh;
  float scale[STEP];
  float zero[STEP];
  float reciprocal[STEP];

  int row;

  __device__ int lane() const { return threadIdx.x & 31; }

  /** The grids of the first two steps; those of the third are on their way. */
  __device__ void load(const BlockMemory& memory, const Matrix& scales, const Matrix& zeros,
                       const Matrix& groups) {
#pragma unroll
    for (int i = 0; i < PARTS; i++) {
      int c = i * LANES + lane();
      groupOf[i] = c < groups.columns ? groups.at<int>(0, c) : -1;
    }
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      group[i] = -1;
      scale[i] = 1.0f;
      zero[i] = 0.0f;
      reciprocal[i] = 1.0f;
    }
    for (int step = 0; step < 3; step++) {
      turnTo(step, scales, zeros);
      if (step < 2) {
        store(memory, step);
      }
    }
  }

  /** Asks for grids of columns whose group is another than eight columns before, as few are. */
  __device__ void turnTo(int step, const Matrix& scales, const Matrix& zeros) {
    int part = step * STEP / LANES;
    int mine = groupOf[0];
#pragma unroll
    for (int i = 1; i < PARTS; i++) {
      mine = part == i ? groupOf[i] : mine;
    }
    int next[STEP];
    fresh = false;
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      int theirs = __shfl_sync(~0u, mine, step * STEP % LANES + i);
      next[i] = step * STEP < BLOCK_COLUMNS ? theirs : -1;
      fresh = fresh || (next[i] >= 0 && next[i] != group[i]);
    }
    if (fresh) {
#pragma unroll
      for (int i = 0; i < STEP; i++) {
        if (next[i] >= 0) {
          group[i] = next[i];
          scale[i] = row < scales.rows ? scales.at<float>(row, next[i]) : 1.0f;
          zero[i] = row < scales.rows ? zeros.at<float>(row, next[i]) : 0.0f;
        }
      }
    }
  }

  /** Reciprocals are NaN where steps without branches cannot use the grid. */
  __device__ void store(const BlockMemory& memory, int step) {
    if (fresh) {
#pragma unroll
      for (int i = 0; i < STEP; i++) {
        bool fits = nearestInteger(zero[i]) == zero[i] && fabsf(zero[i]) <= 65536.0f;
        // There is no reciprocal of 0.
        reciprocal[i] = divisorOrNan(fits ? scale[i] : 0.0f).reciprocal;
      }
    }
    float* scales = memory.scales(step, lane());
    float* zeros = memory.zeros(step, lane());
    float* reciprocals = memory.reciprocals(step, lane());
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      scales[runColumn(i)] = scale[i];
      zeros[runColumn(i)] = zero[i];
      reciprocals[runColumn(i)] = reciprocal[i];
    }
  }

  /** A step's errors and codes. */
  __device__ void take(const BlockMemory& memory, int step, const Matrix& w, const Matrix& codes) {
    const float* errors = memory.errors(step, lane());
    const float* found = memory.codes(step, lane());
    float* error = &w.at<float>(row, step * STEP);
    u8* code = &codes.at<u8>(row, step * STEP);
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      if (row < w.rows && step * STEP + i < w.columns) {
        error[i * w.columnStride] = errors[runColumn(i)];
        code[i * codes.columnStride] = u8(int(found[runColumn(i)]));
      }
    }
  }

  /** All steps, with the barriers of the chain. */
  __device__ void walk(const BlockMemory& memory, const Matrix& w, const Matrix& scales,
                       const Matrix& zeros, const Matrix& codes) {
    int steps = (w.columns + STEP - 1) / STEP;
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      store(memory, step + 2);
      turnTo(step + 3, scales, zeros);
      if (step > 0) {
        take(memory, step - 1, w, codes);
      }
      awaitFactors(step);
      __syncthreads();
    }
    take(memory, steps - 1, w, codes);
  }
};
