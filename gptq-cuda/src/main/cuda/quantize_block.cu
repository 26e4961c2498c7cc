// The inner loop of GPTQ on a block of up to 128 columns, all in one launch.
//
//   for j: codes[:, j] = u(w[:, j]);  e = (w[:, j] − q) / U[j][j]
//          w[:, k] = fma(−e, U[j][k], w[:, k]) for k > j;  w[:, j] = e
//
// Rows are independent. A block of threads has 32, and the lanes of its first warp, the chain, are
// these rows. It goes from column to column, eight a step, and changes no weights but those of the
// step and of the eight columns behind. Three helpers keep all columns after them in registers and
// bring the errors of a step to them during the next one; each step one of them gives the chain the
// next eight columns. All weights are changed in the order of the columns. A clerk brings the chain
// its grids and writes what it found.
//
// The time of a column is the latency from its weight to the next one's. So quotients are by
// reciprocals that the clerk made before, by one correction; that a second one would change nothing
// is found out beside it, for eight columns at once, and where it would, or where reciprocals do not
// do, the step is done again with divisions. Between its columns there are no branches. What lies in
// memory is asked for before: U in three pieces, of which the chain needs the first, grids three
// steps ahead.
#pragma once
#include "block_chain.cuh"
#include "block_clerk.cuh"
#include "block_helper.cuh"

/** Of the GPU that this is tuned for. */
static const int MULTIPROCESSORS = 132;

/** The chain, its clerk and the helpers. */
static const int QUANTIZE_WARPS = 2 + HELPERS;

__device__ inline void storePivot(Divisor* pivots, float diagonal) {
  if (threadIdx.x < BLOCK_COLUMNS) {
    pivots[threadIdx.x] = divisorOrNan(diagonal);
  }
}

extern "C" __global__ void __launch_bounds__(32 * QUANTIZE_WARPS, 3)
    quantizeBlock(Matrix w, Matrix u, Matrix scale, Matrix zero, Matrix groupOf, GridSpec spec,
                  Matrix codes) {
  DYNAMIC_SHARED(float, factors);
  __shared__ Divisor pivots[BLOCK_COLUMNS];
  BlockMemory memory = {factors};
  int columns = w.columns;
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int firstRow = blockIdx.x * ROWS;
  // Blocks of threads that share a multiprocessor have their chains on different schedulers.
  int role = (warp + blockIdx.x / MULTIPROCESSORS) % QUANTIZE_WARPS;
  float diagonal = int(threadIdx.x) < columns ? u.at<float>(threadIdx.x, threadIdx.x) : 1.0f;

  if (threadIdx.x < STEP * STEP) {
    memory.ones()[threadIdx.x / STEP * BLOCK_COLUMNS + threadIdx.x % STEP] = 1.0f;
  }
  startTriangle(u, memory, 0, FIRST_FACTORS, role, QUANTIZE_WARPS);
  if (role == 0) {
    Chain chain;
    chain.load(w, firstRow + lane);
    storePivot(pivots, diagonal);
    awaitCopies<0>();
    __syncthreads();
    chain.walk(memory, pivots, columns, spec);
    return;
  }
  startTriangle(u, memory, FIRST_FACTORS, NEXT_FACTORS, role - 1, QUANTIZE_WARPS - 1);
  startTriangle(u, memory, NEXT_FACTORS, BLOCK_COLUMNS, role - 1, QUANTIZE_WARPS - 1);
  if (role == 1) {
    Clerk clerk;
    clerk.row = firstRow + lane;
    clerk.load(memory, scale, zero, groupOf);
    storePivot(pivots, diagonal);
    awaitCopies<2>();
    __syncthreads();
    clerk.walk(memory, w, scale, zero, codes);
  } else {
    Helper helper;
    helper.helper = role - 2;
    helper.firstRow = firstRow;
    helper.loadValues(w);
    storePivot(pivots, diagonal);
    awaitCopies<2>();
    __syncthreads();
    helper.walk(memory, columns);
  }
}

/**
 * What a block leaves to the columns after it, in the order of the block's columns: w[:, k] =
 * fma(−e[:, j], U[j][k], w[:, k]). For blocks of more than 128 columns.
 */
extern "C" __global__ void quantizeBlockRest(Matrix e, Matrix u, Matrix w) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  int k = blockIdx.y;
  if (row < w.rows) {
    float value = w.at<float>(row, k);
    for (int j = 0; j < e.columns; j++) {
      value = __fmaf_rn(-e.at<float>(row, j), u.at<float>(j, k), value);
    }
    w.at<float>(row, k) = value;
  }
}
