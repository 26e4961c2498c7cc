// The warps of quantizeBlock that keep the columns that are far.
#pragma once
#include "block_memory.cuh"

/** Of two neighbouring rows. */
using Two = Pack<float, 2>;

/**
 * One of the warps that keep the columns that are far, every third eight of them, and bring the
 * errors of a step to them during the next one. A lane has two rows and four of each eight columns.
 */
struct Helper {
  static const int EIGHTS = (BLOCK_COLUMNS / STEP - 2 + HELPERS - 1) / HELPERS;

  int helper;

  /** The first row of the block of threads. */
  int firstRow;
  float values[EIGHTS][STEP / 2][2];

  __device__ int lane() const { return threadIdx.x & 31; }
  __device__ int pairRow() const { return lane() % 16 * 2; }
  __device__ int half() const { return lane() / 16 * (STEP / 2); }

  __device__ void loadValues(const Matrix& w) {
#pragma unroll
    for (int g = 0; g < EIGHTS; g++) {
#pragma unroll
      for (int i = 0; i < STEP / 2; i++) {
        int c = (2 + helper + g * HELPERS) * STEP + half() + i;
#pragma unroll
        for (int r = 0; r < 2; r++) {
          int row = firstRow + pairRow() + r;
          values[g][i][r] = row < w.rows && c < w.columns ? w.at<float>(row, c) : 0.0f;
        }
      }
    }
  }

  /** Brings a step's errors to all columns that are here, of which `from` is the first eight. */
  __device__ void take(const BlockMemory& memory, int step, int from) {
    const float* errors = memory.errors(step, pairRow());
    float e[STEP][2];
#pragma unroll
    for (int j = 0; j < STEP; j++) {
      Two pair = Two::at(errors + runColumn(j));
      e[j][0] = pair.v[0];
      e[j][1] = pair.v[1];
    }
#pragma unroll
    for (int g = 0; g < EIGHTS; g++) {
      int eight = from + g * HELPERS;
      if (eight < BLOCK_COLUMNS / STEP) {
        const float* factor = memory.factor(step * STEP, eight * STEP + half());
#pragma unroll
        for (int j = 0; j < STEP; j++) {
          Four f = Four::at(factor + j * BLOCK_COLUMNS);
#pragma unroll
          for (int i = 0; i < STEP / 2; i++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
              values[g][i][r] = __fmaf_rn(-e[j][r], f.v[i], values[g][i][r]);
            }
          }
        }
      }
    }
  }

  /** Gives the first eight columns to the chain; the others move up. */
  __device__ void hand(const BlockMemory& memory, int step) {
    float* to = memory.handed(step, pairRow());
#pragma unroll
    for (int i = 0; i < STEP / 2; i++) {
      Two pair = {{values[0][i][0], values[0][i][1]}};
      pair.to(to + half() / 2 * BLOCK_COLUMNS + runColumn(i));
#pragma unroll
      for (int g = 0; g + 1 < EIGHTS; g++) {
        values[g][i][0] = values[g + 1][i][0];
        values[g][i][1] = values[g + 1][i][1];
      }
    }
  }

  /** All steps, with the barriers of the chain. */
  __device__ void walk(const BlockMemory& memory, int columns) {
    int turn = helper;
    int from = 2 + helper;
    int steps = (columns + STEP - 1) / STEP;
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      if (step > 0) {
        take(memory, step - 1, from);
      }
      if (turn == 0) {
        hand(memory, step);
        from += HELPERS;
        turn = HELPERS;
      }
      turn--;
      awaitFactors(step);
      __syncthreads();
    }
  }
};
