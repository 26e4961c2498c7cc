// The inner loop of GPTQ on a block of up to 128 columns, all in one launch.
//
//   for j: codes[:, j] = u(w[:, j]);  e = (w[:, j] − q) / U[j][j]
//          w[:, k] = fma(−e, U[j][k], w[:, k]) for k > j;  w[:, j] = e
//
// Rows are independent. Four lanes share a row and keep it in registers: lane p owns the columns
// 16i + 4p … 16i + 4p + 3. U lies in shared memory, where a lane reads its four factors at once.
// The owner of column j broadcasts e. After 16 columns the registers move down by one group, so that
// the loop over groups needs no copies of its body.
//
// The time of a column is the latency from its weight to the next one's. So quotients are by
// reciprocals that are made before, codes are numbers until 16 are known, and the columns behind the
// 16 get what a column leaves them while the next one's error is computed, without branches between
// them. What lies in memory is asked for before: all of U at once, grids 16 columns ahead.
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

/** What a lane divides by in 16 columns. */
struct OwnDivisors {
  Divisor scale[OWN];
  Divisor pivot[OWN];

  /** Whether all of them have reciprocals. */
  bool plain;

  /** @param pivots U[j][j] of the lane's first column and the others' */
  __device__ OwnDivisors(const OwnGrids& grids, const Divisor* pivots) {
    plain = true;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      scale[i] = Divisor(grids.scale[i]);
      pivot[i] = pivots[i];
      plain = plain && scale[i].reciprocal != 0 && pivot[i].reciprocal != 0;
    }
  }
};

/** A lane's part of a row. */
struct RowPart {
  float values[GROUPS][OWN];

  /** Of the first 16 columns. */
  float codes[OWN];

  /** w ← fma(−e, factor, w) of the columns of some groups, all of which are still to change. */
  template <int FROM, int TO>
  __device__ void take(float e, const float* factor) {
#pragma unroll
    for (int g = FROM; g < TO; g++) {
      Four f = *reinterpret_cast<const Four*>(factor + g * GROUP);
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        values[g][i] = __fmaf_rn(-e, f.v[i], values[g][i]);
      }
    }
  }

  /**
   * Sixteen columns, or fewer with ANY, where divisors may be any.
   *
   * @tparam LIVE groups of columns that are left, these among them
   * @param factors of the first of the columns, from the lane's first one on
   */
  template <bool ANY, int LIVE>
  __device__ void quantize(const OwnGrids& grids, const OwnDivisors& own, const float* factors,
                           int columns, const GridSpec& spec) {
    int part = threadIdx.x % ROW_LANES;
    int lanesRow = (threadIdx.x & 31) & ~(ROW_LANES - 1);
    float least = float(spec.minCode);
    float most = float(spec.maxCode);
    float before = 0.0f;
#pragma unroll
    for (int step = 0; step < GROUP; step++) {
      if (!ANY || step < columns) {
        const int i = step % OWN;
        const int owner = step / OWN;
        float x = values[0][i];
        float s = grids.scale[i];
        float z = grids.zero[i];
        float code;
        float rest;
        float e;
        bool exact;
        if (ANY) {
          code = codeNumber(__fdiv_rn(x, s), z, spec);
          rest = __fsub_rn(x, __fmul_rn(s, __fsub_rn(code, z)));
          e = __fdiv_rn(rest, own.pivot[i].value);
          exact = true;
        } else {
          float v = __fadd_rn(nearestInteger(quotientForCode(own.scale[i], x)), z);
          code = v != v ? 0.0f : fminf(fmaxf(v, least), most);
          rest = __fsub_rn(x, __fmul_rn(s, __fsub_rn(code, z)));
          e = own.pivot[i].steps(rest);
          exact = own.pivot[i].suits(rest) || __float_as_uint(rest) == 0;
        }
        const float* factor = factors + step * BLOCK_COLUMNS;
        if (step > 0) {
          take<1, LIVE>(before, factor - BLOCK_COLUMNS);
        }
        if (part == owner && !exact) {
          e = __fdiv_rn(rest, own.pivot[i].value);
        }
        e = __shfl_sync(~0u, e, lanesRow + owner);
        Four f = *reinterpret_cast<const Four*>(factor);
#pragma unroll
        for (int c = 0; c < OWN; c++) {
          // Only the columns after this one are still to change.
          if (part * OWN + c > step) {
            values[0][c] = __fmaf_rn(-e, f.v[c], values[0][c]);
          }
        }
        if (part == owner) {
          values[0][i] = e;
          codes[i] = code;
        }
        before = e;
      }
    }
    int last = (ANY && columns < GROUP ? columns : GROUP) - 1;
    take<1, LIVE>(before, factors + last * BLOCK_COLUMNS);
  }
};

extern "C" __global__ void __launch_bounds__(128)
    quantizeBlock(Matrix w, Matrix u, Matrix scale, Matrix zero, Matrix groupOf, GridSpec spec,
                  Matrix codes) {
  DYNAMIC_SHARED(float, factors);
  __shared__ Divisor pivots[BLOCK_COLUMNS];
  int columns = w.columns;
  startFactors(u, factors);

  int part = threadIdx.x % ROW_LANES;
  int row = blockIdx.x * (ROW_THREADS / ROW_LANES) + threadIdx.x / ROW_LANES;
  bool live = row < w.rows;

  RowPart own;
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * GROUP + part * OWN + i;
      own.values[g][i] = live && c < columns ? w.at<float>(row, c) : 0.0f;
    }
  }

  OwnGrids next(scale, zero, groupOf, row, live, part * OWN);
  awaitCopies<0>();
  __syncthreads();
  for (int j = threadIdx.x; j < BLOCK_COLUMNS; j += ROW_THREADS) {
    pivots[j] = Divisor(j < columns ? factors[j * BLOCK_COLUMNS + j] : 1.0f);
  }
  __syncthreads();

  for (int first = 0; first < columns; first += GROUP) {
    int lanesFirst = first + part * OWN;
    OwnGrids grids = next;
    next = OwnGrids(scale, zero, groupOf, row, live, lanesFirst + GROUP);
    OwnDivisors divisors(grids, pivots + lanesFirst);
    const float* factor = factors + first * BLOCK_COLUMNS + lanesFirst;
    bool plain = !spec.midRise && first + GROUP <= columns && divisors.plain;
    if (reduceWarp(int(!plain), Max()) != 0) {
      own.quantize<true, GROUPS>(grids, divisors, factor, columns - first, spec);
    } else if (first < BLOCK_COLUMNS / 2) {
      own.quantize<false, GROUPS>(grids, divisors, factor, GROUP, spec);
    } else {
      own.quantize<false, GROUPS / 2>(grids, divisors, factor, GROUP, spec);
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = lanesFirst + i;
      if (live && c < columns) {
        w.at<float>(row, c) = own.values[0][i];
        codes.at<u8>(row, c) = u8(int(own.codes[i]));
      }
    }
#pragma unroll
    for (int g = 0; g + 1 < GROUPS; g++) {
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        own.values[g][i] = own.values[g + 1][i];
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
