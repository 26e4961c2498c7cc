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
#include "quantize_block.cu"

static const int DESCENT_LANES = 16;
static const int DESCENT_COLUMNS = DESCENT_LANES * OWN;
static const int DESCENT_GROUPS = BLOCK_COLUMNS / DESCENT_COLUMNS;

/** rint(x) of magnitudes up to 2^22, and what is as far from all codes of larger ones. */
__device__ inline float nearestInteger(float x) {
  return __fsub_rn(__fadd_rn(x, 12582912.0f), 12582912.0f);
}

extern "C" __global__ void __launch_bounds__(128)
    descendBlock(Matrix gradient, Matrix h, Matrix scale, Matrix groupOf, GridSpec spec,
                 Matrix codes, Matrix delta) {
  DYNAMIC_SHARED(float, factors);
  int columns = gradient.columns;
  startFactors(h, factors);

  int part = threadIdx.x % DESCENT_LANES;
  int row = blockIdx.x * (ROW_THREADS / DESCENT_LANES) + threadIdx.x / DESCENT_LANES;
  bool live = row < gradient.rows;
  int lanesRow = threadIdx.x & 31 & ~(DESCENT_LANES - 1);
  float least = float(spec.minCode);
  float most = float(spec.maxCode);

  float values[DESCENT_GROUPS][OWN];
  float scales[DESCENT_GROUPS][OWN];
  float numbers[DESCENT_GROUPS][OWN];
#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      bool own = live && c < columns;
      values[g][i] = own ? gradient.at<float>(row, c) : 0.0f;
      scales[g][i] = own ? scale.at<float>(row, groupOf.at<int>(0, c)) : 1.0f;
      numbers[g][i] = own ? float(codes.at<u8>(row, c)) : 0.0f;
    }
  }
  awaitCopies<0>();
  __syncthreads();

  float divisors[DESCENT_GROUPS][OWN];
  float reciprocals[DESCENT_GROUPS][OWN];
  float changes[DESCENT_GROUPS][OWN];
#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      float curvature = c < columns ? factors[c * BLOCK_COLUMNS + c] : 0.0f;
      // Divided by infinity nothing moves.
      Divisor divisor(curvature == 0 ? __uint_as_float(0x7f800000u)
                                     : __fmul_rn(scales[g][i], curvature));
      divisors[g][i] = divisor.value;
      reciprocals[g][i] = divisor.reciprocal;
      changes[g][i] = 0.0f;
    }
  }

#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
    for (int lane = 0; lane < DESCENT_LANES; lane++) {
      int owner = lanesRow + lane;
#pragma unroll
      for (int i = 0; i < OWN; i++) {
        int j = g * DESCENT_COLUMNS + lane * OWN + i;
        if (j < columns) {
          float s = __shfl_sync(~0u, scales[g][i], owner);
          float old = __shfl_sync(~0u, numbers[g][i], owner);
          Divisor divisor(__shfl_sync(~0u, divisors[g][i], owner),
                          __shfl_sync(~0u, reciprocals[g][i], owner));
          float x = __shfl_sync(~0u, values[g][i], owner);
          float v = __fadd_rn(old, nearestInteger(divisor.divide(x)));
          float moved = v != v ? 0.0f : v < least ? least : v > most ? most : v;
          float d = __fmul_rn(s, __fsub_rn(moved, old));
          const float* factor = factors + j * BLOCK_COLUMNS + part * OWN;
#pragma unroll
          for (int o = 0; o < DESCENT_GROUPS; o++) {
            Four f = *reinterpret_cast<const Four*>(factor + o * DESCENT_COLUMNS);
#pragma unroll
            for (int c = 0; c < OWN; c++) {
              values[o][c] = __fmaf_rn(-d, f.v[c], values[o][c]);
            }
          }
          if (part == lane) {
            numbers[g][i] = moved;
            changes[g][i] = d;
          }
        }
      }
    }
  }

#pragma unroll
  for (int g = 0; g < DESCENT_GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * DESCENT_COLUMNS + part * OWN + i;
      if (live && c < columns) {
        gradient.at<float>(row, c) = values[g][i];
        codes.at<u8>(row, c) = u8(int(numbers[g][i]));
        delta.at<float>(row, c) = changes[g][i];
      }
    }
  }
}
