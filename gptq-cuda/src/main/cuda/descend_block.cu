// One sweep of coordinate descent over a block of up to 128 columns, in one launch.
//
//   for j: k = rint(g[:, j] / (s·H[j][j])), 0 if H[j][j] = 0;  u' = clamp(u + k);  d = s·(u' − u)
//          g[:, i] = fma(−d, H[j][i], g[:, i]) for all i;  codes[:, j] = u';  delta[:, j] = d
//
// Sixteen lanes share a row and keep it in registers: lane p owns the columns 4p … 4p + 3 of each 64.
// The time of a column is the latency from its gradient to the next one's. So all that does not
// depend on gradients, quotients' reciprocals among it, is made by the owners before, and codes are
// numbers until the end: to turn them into integers and back would take as long as to divide.
#pragma once
#include "block.cuh"

static const int OWN = 4;
static const int DESCENT_THREADS = 128;
static const int DESCENT_LANES = 16;
static const int DESCENT_COLUMNS = DESCENT_LANES * OWN;
static const int DESCENT_GROUPS = BLOCK_COLUMNS / DESCENT_COLUMNS;

/**
 * Starts bringing a square of factors, whose rows are contiguous, to shared memory, in rows of 128.
 * What lies behind its columns stays as it is: it meets only registers of columns that are none.
 */
__device__ inline void startFactors(const Matrix& square, float* factors) {
  const int rowQuads = BLOCK_COLUMNS / QUAD;
  bool quads = ofQuads(square);
  for (int i = threadIdx.x; i < square.columns * rowQuads; i += DESCENT_THREADS) {
    int j = i / rowQuads;
    startQuad(square, j, i % rowQuads * QUAD, quads, factors + j * BLOCK_COLUMNS);
  }
  endCopies();
}

/** The columns that a lane owns. */
struct DescentColumns {
  float gradient[DESCENT_GROUPS][OWN];
  float scale[DESCENT_GROUPS][OWN];
  float code[DESCENT_GROUPS][OWN];
  float delta[DESCENT_GROUPS][OWN];

  /** s·H[j][j] and its reciprocal. */
  float divisor[DESCENT_GROUPS][OWN];
  float reciprocal[DESCENT_GROUPS][OWN];

  /** x/d, of which only the nearest integer is looked at. */
  template <bool ANY>
  __device__ static float quotient(const Divisor& d, float x) {
    return ANY && d.reciprocal == 0 ? __fdiv_rn(x, d.value) : quotientForCode(d, x);
  }

  /** All columns, of any number of them and with any divisors, or whole blocks without branches. */
  template <bool ANY>
  __device__ void descend(const float* factors, int columns, const GridSpec& spec) {
    int part = threadIdx.x % DESCENT_LANES;
    int lanesRow = threadIdx.x & 31 & ~(DESCENT_LANES - 1);
    float least = float(spec.minCode);
    float most = float(spec.maxCode);
#pragma unroll
    for (int g = 0; g < DESCENT_GROUPS; g++) {
      for (int lane = 0; lane < DESCENT_LANES; lane++) {
        int owner = lanesRow + lane;
#pragma unroll
        for (int i = 0; i < OWN; i++) {
          int j = g * DESCENT_COLUMNS + lane * OWN + i;
          if (!ANY || j < columns) {
            float s = __shfl_sync(~0u, scale[g][i], owner);
            float old = __shfl_sync(~0u, code[g][i], owner);
            Divisor d(__shfl_sync(~0u, divisor[g][i], owner),
                      __shfl_sync(~0u, reciprocal[g][i], owner));
            float x = __shfl_sync(~0u, gradient[g][i], owner);
            float v = __fadd_rn(old, nearestInteger(quotient<ANY>(d, x)));
            float moved = v != v ? 0.0f : fminf(fmaxf(v, least), most);
            float change = __fmul_rn(s, __fsub_rn(moved, old));
            const float* factor = factors + j * BLOCK_COLUMNS + part * OWN;
#pragma unroll
            for (int o = 0; o < DESCENT_GROUPS; o++) {
              Four f = Four::at(factor + o * DESCENT_COLUMNS);
#pragma unroll
              for (int c = 0; c < OWN; c++) {
                gradient[o][c] = __fmaf_rn(-change, f.v[c], gradient[o][c]);
              }
            }
            if (part == lane) {
              code[g][i] = moved;
              delta[g][i] = change;
            }
          }
        }
      }
    }
  }
};

extern "C" __global__ void __launch_bounds__(128)
    descendBlock(Matrix gradient, Matrix h, Matrix scale, Matrix groupOf, GridSpec spec,
                 Matrix codes, Matrix delta) {
  DYNAMIC_SHARED(float, factors);
  int columns = gradient.columns;
  startFactors(h, factors);

  int part = threadIdx.x % DESCENT_LANES;
  int row = blockIdx.x * (DESCENT_THREADS / DESCENT_LANES) + threadIdx.x / DESCENT_LANES;
  bool live = row < gradient.rows;

  DescentColumns own;
#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      bool exists = live && c < columns;
      own.gradient[g][i] = exists ? gradient.at<float>(row, c) : 0.0f;
      own.scale[g][i] = exists ? scale.at<float>(row, groupOf.at<int>(0, c)) : 1.0f;
      own.code[g][i] = exists ? float(codes.at<u8>(row, c)) : 0.0f;
      own.delta[g][i] = 0.0f;
    }
  }
  awaitCopies<0>();
  __syncthreads();

  int unfit = 0;
#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      float curvature = c < columns ? factors[c * BLOCK_COLUMNS + c] : 0.0f;
      // Divided by infinity nothing moves.
      Divisor divisor(curvature == 0 ? __uint_as_float(0x7f800000u)
                                     : __fmul_rn(own.scale[g][i], curvature));
      own.divisor[g][i] = divisor.value;
      own.reciprocal[g][i] = divisor.reciprocal;
      unfit |= divisor.reciprocal == 0;
    }
  }
  if (columns == BLOCK_COLUMNS && reduceWarp(unfit, Max()) == 0) {
    own.descend<false>(factors, columns, spec);
  } else {
    own.descend<true>(factors, columns, spec);
  }

#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      if (live && c < columns) {
        gradient.at<float>(row, c) = own.gradient[g][i];
        codes.at<u8>(row, c) = u8(int(own.code[g][i]));
        delta.at<float>(row, c) = own.delta[g][i];
      }
    }
  }
}
