// One sweep of coordinate descent over a block of up to 128 columns, in one launch.
//
//   for j: k = rint(g[:, j] / (s·H[j][j])), 0 if H[j][j] = 0;  u' = clamp(u + k);  d = s·(u' − u)
//          g[:, i] = fma(−d, H[j][i], g[:, i]) for all i;  codes[:, j] = u';  delta[:, j] = d
//
// Rows lie in registers as in quantize_block.cu, four lanes a row, but no column is ever done with:
// after 16 columns the registers turn by one group, and after all of them stand where they began.
#include "quantize_block.cu"

/** Scales and codes of the columns that a lane owns among 16, from its first one on. */
struct OwnColumns {
  float scale[OWN];
  int code[OWN];

  __device__ OwnColumns(const Matrix& scales, const Matrix& groupOf, const Matrix& codes, int row,
                        bool live, int first) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      bool own = live && first + i < codes.columns;
      scale[i] = own ? scales.at<float>(row, groupOf.at<int>(0, first + i)) : 1.0f;
      code[i] = own ? codes.at<u8>(row, first + i) : 0;
    }
  }
};

extern "C" __global__ void __launch_bounds__(128)
    descendBlock(Matrix gradient, Matrix h, Matrix scale, Matrix groupOf, GridSpec spec,
                 Matrix codes, Matrix delta) {
  DYNAMIC_SHARED(float, factors);
  int columns = gradient.columns;
  startFactors(h, factors);

  int part = threadIdx.x % ROW_LANES;
  int row = blockIdx.x * (ROW_THREADS / ROW_LANES) + threadIdx.x / ROW_LANES;
  bool live = row < gradient.rows;
  int lanesRow = (threadIdx.x & 31) & ~(ROW_LANES - 1);

  float values[GROUPS][OWN];
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * GROUP + part * OWN + i;
      values[g][i] = live && c < columns ? gradient.at<float>(row, c) : 0.0f;
    }
  }

  OwnColumns next(scale, groupOf, codes, row, live, part * OWN);
  awaitCopies<0>();
  __syncthreads();

  for (int first = 0; first < BLOCK_COLUMNS; first += GROUP) {
    OwnColumns own = next;
    next = OwnColumns(scale, groupOf, codes, row, live, first + GROUP + part * OWN);
#pragma unroll
    for (int step = 0; step < GROUP; step++) {
      int j = first + step;
      if (j < columns) {
        int owner = lanesRow + step / OWN;
        float x = __shfl_sync(~0u, values[0][step % OWN], owner);
        float s = __shfl_sync(~0u, own.scale[step % OWN], owner);
        int old = __shfl_sync(~0u, own.code[step % OWN], owner);
        const float* factor = factors + j * BLOCK_COLUMNS;
        float curvature = factor[j];
        float k = curvature == 0 ? 0.0f : rintf(__fdiv_rn(x, __fmul_rn(s, curvature)));
        int moved = clampCode(__fadd_rn(float(old), k), spec);
        float d = __fmul_rn(s, float(moved - old));
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
          // Group g now holds the columns of group first / GROUP + g, counted around.
          int at = (first + g * GROUP) % BLOCK_COLUMNS + part * OWN;
          Four f = *reinterpret_cast<const Four*>(factor + at);
#pragma unroll
          for (int i = 0; i < OWN; i++) {
            values[g][i] = __fmaf_rn(-d, f.v[i], values[g][i]);
          }
        }
        if (live && part == step / OWN) {
          codes.at<u8>(row, j) = u8(moved);
          delta.at<float>(row, j) = d;
        }
      }
    }
    float turned[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      turned[i] = values[0][i];
#pragma unroll
      for (int g = 0; g + 1 < GROUPS; g++) {
        values[g][i] = values[g + 1][i];
      }
      values[GROUPS - 1][i] = turned[i];
    }
  }

#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      int c = g * GROUP + part * OWN + i;
      if (live && c < columns) {
        gradient.at<float>(row, c) = values[g][i];
      }
    }
  }
}
