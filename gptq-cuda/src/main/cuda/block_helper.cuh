// The warps of quantizeBlock that keep the columns that are far.
#pragma once
#include "block_memory.cuh"

/** Two neighbours. */
struct alignas(8) Two {
  float v[2];
};

/**
 * One of the warps that keep the columns that are far, every third eight of them, and bring the
 * errors of a step to them during the next one. A lane has two rows and four of each eight columns.
 */
struct Helper {
  static const int HELPERS = ROW_THREADS / 32 - 1;
  static const int EIGHTS = (BLOCK_COLUMNS / STEP - 2 + HELPERS - 1) / HELPERS;
  static const int GRIDS = (STEP + HELPERS - 1) / HELPERS;

  /** The groups of columns `helper`, `helper` + 3, … of a step, −1 of those that are none. */
  struct Groups {
    int group[GRIDS];
  };

  struct Grids {
    float scale[GRIDS];
    float zero[GRIDS];
  };

  int helper;

  /** The first row of the block of threads. */
  int firstRow;
  float values[EIGHTS][STEP / 2][2];

  /** Of a step to come, and the groups of the one after. */
  Grids grids;
  Groups groups;

  __device__ int lane() const { return threadIdx.x & 31; }
  __device__ int pairRow() const { return lane() % 16 * 2; }
  __device__ int half() const { return lane() / 16 * (STEP / 2); }

  /** What is far, and the grids of the first three steps; factors come meanwhile. */
  __device__ void load(const BlockMemory& memory, const Matrix& w, const Matrix& u,
                       const Matrix& scales, const Matrix& zeros, const Matrix& groupOf) {
    Groups first = groupsOf(groupOf, 0);
    Groups second = groupsOf(groupOf, 1);
    Groups third = groupsOf(groupOf, 2);
    groups = groupsOf(groupOf, 3);
    startTriangle(u, memory, 0, FIRST_FACTORS, helper + 1, HELPERS + 1);
    Grids firstGrids = gridsOf(scales, zeros, first);
    Grids secondGrids = gridsOf(scales, zeros, second);
    grids = gridsOf(scales, zeros, third);
    startTriangle(u, memory, FIRST_FACTORS, NEXT_FACTORS, helper, HELPERS);
    startTriangle(u, memory, NEXT_FACTORS, BLOCK_COLUMNS, helper, HELPERS);
    loadValues(w);
    storeGrids(memory, firstGrids, 0);
    storeGrids(memory, secondGrids, 1);
  }

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

  __device__ Groups groupsOf(const Matrix& groupOf, int step) const {
    Groups loaded;
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      bool exists = c < STEP && step * STEP + c < groupOf.columns;
      loaded.group[i] = exists ? groupOf.at<int>(0, step * STEP + c) : -1;
    }
    return loaded;
  }

  __device__ Grids gridsOf(const Matrix& scales, const Matrix& zeros, const Groups& of) const {
    Grids loaded;
    int row = firstRow + lane();
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      bool exists = of.group[i] >= 0 && row < scales.rows;
      loaded.scale[i] = exists ? scales.at<float>(row, of.group[i]) : 1.0f;
      loaded.zero[i] = exists ? zeros.at<float>(row, of.group[i]) : 0.0f;
    }
    return loaded;
  }

  /** Reciprocals are NaN where steps without branches cannot use the grid. */
  __device__ void storeGrids(const BlockMemory& memory, const Grids& of, int step) const {
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      if (c < STEP) {
        float s = of.scale[i];
        float z = of.zero[i];
        bool fits = nearestInteger(z) == z && fabsf(z) <= 65536.0f;
        memory.scales(step, lane())[runColumn(c)] = s;
        memory.zeros(step, lane())[runColumn(c)] = z;
        memory.reciprocals(step, lane())[runColumn(c)] =
            fits ? divisorOrNan(s).reciprocal : __uint_as_float(0x7fc00000u);
      }
    }
  }

  /** Brings a step's errors to all columns that are here, of which `from` is the first eight. */
  __device__ void take(const BlockMemory& memory, int step, int from) {
    const float* errors = memory.errors(step, pairRow());
    float e[STEP][2];
#pragma unroll
    for (int j = 0; j < STEP; j++) {
      Two pair = *reinterpret_cast<const Two*>(errors + runColumn(j));
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
          Four f = *reinterpret_cast<const Four*>(factor + j * BLOCK_COLUMNS);
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
      *reinterpret_cast<Two*>(to + half() / 2 * BLOCK_COLUMNS + runColumn(i)) = pair;
#pragma unroll
      for (int g = 0; g + 1 < EIGHTS; g++) {
        values[g][i][0] = values[g + 1][i][0];
        values[g][i][1] = values[g + 1][i][1];
      }
    }
  }

  /** A step's errors and codes, of columns `helper`, `helper` + 3, …. */
  __device__ void store(const BlockMemory& memory, int step, const Matrix& w,
                        const Matrix& codes) const {
    int row = firstRow + lane();
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      int column = step * STEP + c;
      if (c < STEP && row < w.rows && column < w.columns) {
        w.at<float>(row, column) = memory.errors(step, lane())[runColumn(c)];
        codes.at<u8>(row, column) = u8(int(memory.codes(step, lane())[runColumn(c)]));
      }
    }
  }

  /** All steps, with the barriers of the chain. */
  __device__ void walk(const BlockMemory& memory, const Matrix& w, const Matrix& scales,
                       const Matrix& zeros, const Matrix& groupOf, const Matrix& codes) {
    int turn = helper;
    int from = 2 + helper;
    int steps = (w.columns + STEP - 1) / STEP;
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      storeGrids(memory, grids, step + 2);
      grids = gridsOf(scales, zeros, groups);
      groups = groupsOf(groupOf, step + 4);
      if (step > 0) {
        take(memory, step - 1, from);
      }
      if (turn == 0) {
        hand(memory, step);
        from += HELPERS;
        turn = HELPERS;
      }
      turn--;
      if (step > 0) {
        store(memory, step - 1, w, codes);
      }
      if (step == FIRST_FACTORS / STEP - 1) {
        awaitCopies<1>();
      } else if (step == NEXT_FACTORS / STEP - 1) {
        awaitCopies<0>();
      }
      __syncthreads();
    }
    store(memory, steps - 1, w, codes);
  }
};
