// The inner loop of GPTQ on a block of up to 128 columns, all in one launch.
//
//   for j: codes[:, j] = u(w[:, j]);  e = (w[:, j] − q) / U[j][j]
//          w[:, k] = fma(−e, U[j][k], w[:, k]) for k > j;  w[:, j] = e
//
// Rows are independent. Four lanes share a row and keep it in registers: lane p owns the columns
// 16i + 4p … 16i + 4p + 3. U lies in shared memory, where a lane reads its four factors at once.
// The owner of column j broadcasts w[j]; all four lanes compute e. After 16 columns the registers
// move down by one group, so that the loop over groups needs no copies of its body. A block of rows
// waits for memory rather than for arithmetic: all of U is asked for at once, and grids of the next
// 16 columns while these are worked on.
#pragma once
#include "grid.cuh"
#include "mma.cuh"

static const int BLOCK_COLUMNS = 128;
static const int ROW_LANES = 4;
static const int ROW_THREADS = 128;
static const int OWN = 4;
static const int GROUP = ROW_LANES * OWN;
static const int GROUPS = BLOCK_COLUMNS / GROUP;

struct alignas(16) Four {
  float v[4];
};

/**
 * Starts bringing a square of factors, whose rows are contiguous, to shared memory, in rows of 128.
 * What lies behind its columns stays as it is: it meets only registers of columns that are none.
 */
__device__ inline void startFactors(const Matrix& square, float* factors) {
  const float* from = square.row<float>(0);
  int columns = square.columns;
  bool fours = (u64(from) & 15) == 0 && ((square.rowStride | columns) & 3) == 0;
  for (int i = threadIdx.x; i < columns * (BLOCK_COLUMNS / 4); i += ROW_THREADS) {
    int j = i / (BLOCK_COLUMNS / 4);
    int k = i % (BLOCK_COLUMNS / 4) * 4;
    float* to = factors + j * BLOCK_COLUMNS + k;
    if (fours && k < columns) {
      startCopy(to, from + j * square.rowStride + k, true);
    } else {
      for (int c = k; c < k + 4 && c < columns; c++) {
        to[c - k] = from[j * square.rowStride + c];
      }
    }
  }
  endCopies();
}

/** The grids of the columns that a lane owns among 16, from its first one on. */
struct OwnGrids {
  float scale[OWN];
  float zero[OWN];

  __device__ OwnGrids(const Matrix& scales, const Matrix& zeros, const Matrix& groupOf, int row,
                      bool live, int first) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      bool own = live && first + i < groupOf.columns;
      int group = own ? groupOf.at<int>(0, first + i) : 0;
      scale[i] = own ? scales.at<float>(row, group) : 1.0f;
      zero[i] = own ? zeros.at<float>(row, group) : 0.0f;
    }
  }
};

extern "C" __global__ void __launch_bounds__(128)
    quantizeBlock(Matrix w, Matrix u, Matrix scale, Matrix zero, Matrix groupOf, GridSpec spec,
                  Matrix codes) {
  DYNAMIC_SHARED(float, factors);
  int columns = w.columns;
  startFactors(u, factors);

  int part = threadIdx.x % ROW_LANES;
  int row = blockIdx.x * (ROW_THREADS / ROW_LANES) + threadIdx.x / ROW_LANES;
  bool live = row < w.rows;
  int lanesRow = (threadIdx.x & 31) & ~(ROW_LANES - 1);

  float values[GROUPS][OWN];
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * GROUP + part * OWN + i;
      values[g][i] = live && c < columns ? w.at<float>(row, c) : 0.0f;
    }
  }

  OwnGrids next(scale, zero, groupOf, row, live, part * OWN);
  awaitCopies<0>();
  __syncthreads();

  for (int first = 0; first < columns; first += GROUP) {
    OwnGrids grids = next;
    next = OwnGrids(scale, zero, groupOf, row, live, first + GROUP + part * OWN);
#pragma unroll
    for (int step = 0; step < GROUP; step++) {
      int j = first + step;
      if (j < columns) {
        int owner = lanesRow + step / OWN;
        float x = __shfl_sync(~0u, values[0][step % OWN], owner);
        float s = __shfl_sync(~0u, grids.scale[step % OWN], owner);
        float z = __shfl_sync(~0u, grids.zero[step % OWN], owner);
        const float* factor = factors + j * BLOCK_COLUMNS;
        int code = codeOf(x, s, z, spec);
        float e = __fdiv_rn(__fsub_rn(x, valueOf(code, s, z)), factor[j]);
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
          int k = first + g * GROUP + part * OWN;
          if (k < BLOCK_COLUMNS) {
            Four f = *reinterpret_cast<const Four*>(factor + k);
#pragma unroll
            for (int i = 0; i < OWN; i++) {
              // In the first group only the columns after j are still to change.
              if (g > 0 || k + i > j) {
                values[g][i] = __fmaf_rn(-e, f.v[i], values[g][i]);
              }
            }
          }
        }
        if (part == step / OWN) {
          values[0][step % OWN] = e;
          if (live) {
            codes.at<u8>(row, j) = u8(code);
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = first + part * OWN + i;
      if (live && c < columns) {
        w.at<float>(row, c) = values[0][i];
      }
    }
#pragma unroll
    for (int g = 0; g + 1 < GROUPS; g++) {
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        values[g][i] = values[g + 1][i];
      }
    }
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
