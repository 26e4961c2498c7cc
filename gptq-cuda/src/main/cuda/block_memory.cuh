// The memory in which the warps of quantizeBlock meet.
#pragma once
#include "block.cuh"

/** Rows of a block of threads, and its warps that keep columns. */
static const int ROWS = 32;
static const int HELPERS = 3;

/** Columns between barriers. */
static const int STEP = 8;

/** Rows of factors that come first, and those that have come after the next ones. */
static const int FIRST_FACTORS = 16;
static const int NEXT_FACTORS = 48;

/**
 * The shared memory of a block of threads: factors on and above the diagonal, in rows of 128, and
 * below them, in the lower left quarter, what the warps tell each other: sixteen runs of eight
 * columns of 32 rows.
 */
struct BlockMemory {
  float* factors;

  /** A row of a run's first column; its other columns are at runColumn from it. */
  __device__ float* run(int index, int row) const {
    return factors + (BLOCK_COLUMNS / 2 + index * (STEP / 2)) * BLOCK_COLUMNS + row;
  }

  __device__ float* scales(int step, int row) const { return run(step & 3, row); }
  __device__ float* zeros(int step, int row) const { return run(4 + (step & 3), row); }
  __device__ float* reciprocals(int step, int row) const { return run(8 + (step & 1), row); }
  __device__ float* errors(int step, int row) const { return run(10 + (step & 1), row); }
  __device__ float* codes(int step, int row) const { return run(12 + (step & 1), row); }

  /** The weights behind the ones after a step, which the step after it needs. */
  __device__ float* handed(int step, int row) const { return run(14 + (step & 1), row); }

  /** Rows of ones, eight columns wide. */
  __device__ float* ones() const { return factors + BLOCK_COLUMNS / 4 * BLOCK_COLUMNS; }

  __device__ const float* factor(int j, int k) const { return factors + j * BLOCK_COLUMNS + k; }
};

__device__ inline int runColumn(int j) {
  return j / 2 * BLOCK_COLUMNS + j % 2 * ROWS;
}

/** A divisor whose reciprocal is NaN, and all that is made with it, where there is none. */
__device__ inline Divisor divisorOrNan(float d) {
  Divisor divisor(d);
  if (divisor.reciprocal == 0) {
    divisor.reciprocal = __uint_as_float(0x7fc00000u);
  }
  return divisor;
}

/** Starts bringing rows of factors on and above the diagonal; the other threads take other rows. */
__device__ inline void startTriangle(const Matrix& u, const BlockMemory& memory, int from, int to,
                                     int warp, int warps) {
  bool quads = ofQuads(u);
  int k = int(threadIdx.x & 31) * QUAD;
  for (int j = from + warp; j < to && j < u.columns; j += warps) {
    if (k + QUAD > j) {
      startQuad(u, j, k, quads, memory.factors + j * BLOCK_COLUMNS);
    }
  }
  endCopies();
}

/** Waits, before a step's barrier, for what this thread brings of the factors behind it. */
__device__ inline void awaitFactors(int step) {
  if (step == FIRST_FACTORS / STEP - 1) {
    awaitCopies<1>();
  } else if (step == NEXT_FACTORS / STEP - 1) {
    awaitCopies<0>();
  }
}
