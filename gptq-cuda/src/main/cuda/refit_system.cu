// The normal equations of refits on tensor cores: for 128 rows and one group g the products P = T_g·H,
// column by column, each reduced at once to its sums with the steps (A_gh) and the difference (b_g), so
// that no product is ever written.
//
// Steps are whole or half numbers that bfloat16 holds; H is split into three bfloat16, and all bits
// of it are kept. T_g stays in the registers of a warp, 32 rows of it; H arrives in tiles of 64 of its
// rows, which are columns too, the next on its way while one is used.
#include "mma.cuh"

static const int SYSTEM_ROWS = 128;
static const int SYSTEM_COLUMNS = 64;
static const int SYSTEM_THREADS = 128;
static const int SYSTEM_PARTS = 3;

struct alignas(8) FloatPair {
  float x;
  float y;
};

/** Sums of the four lanes that have parts of a row. */
__device__ inline float sumOfRow(float value) {
  value += __shfl_xor_sync(~0u, value, 1);
  return value + __shfl_xor_sync(~0u, value, 2);
}

/**
 * Steps are bfloat16 and differences float32, both with contiguous rows. Part p of H[j][i] lies at
 * p·step + j·stride + i − first·RUN, the smallest part first; blockIdx.y counts groups from `first`.
 */
template <int RUN>
__device__ inline void refitSystemOf(Matrix steps, Matrix difference, const u16* parts,
                                     long long stride, long long step, int first, Matrix normal,
                                     Matrix gradient) {
  DYNAMIC_SHARED(u16, memory);
  const int WIDTH = RUN + 8;
  const int TILE = SYSTEM_PARTS * SYSTEM_COLUMNS * WIDTH;
  const int PIECES = RUN / 8;
  int lane = threadIdx.x & 31;
  int g = lane >> 2;
  int t = lane & 3;
  int group = first + blockIdx.y;
  long long row = (long long)blockIdx.x * SYSTEM_ROWS + (threadIdx.x >> 5) * 32 + g;
  int n = steps.columns;

  // Of four rows, 8 apart: fragments of T_g.
  u32 a[2][RUN / 16][4];
#pragma unroll
  for (int k = 0; k < RUN / 16; k++) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const u16* at = steps.row<u16>(row + 8 * r) + group * RUN + 16 * k + 2 * t;
      bool inside = row + 8 * r < steps.rows;
      a[r >> 1][k][r & 1] = inside ? *reinterpret_cast<const u32*>(at) : 0;
      a[r >> 1][k][2 + (r & 1)] = inside ? *reinterpret_cast<const u32*>(at + 8) : 0;
    }
  }

  const u16* from = parts + blockIdx.y * RUN;
  auto startTile = [&](int column, u16* tile) {
    for (int i = threadIdx.x; i < SYSTEM_PARTS * SYSTEM_COLUMNS * PIECES; i += SYSTEM_THREADS) {
      int piece = i % PIECES;
      int line = i / PIECES;
      startCopy(tile + line * WIDTH + 8 * piece,
                from + line / SYSTEM_COLUMNS * step +
                    (column + line % SYSTEM_COLUMNS) * stride + 8 * piece,
                true);
    }
  };

  float ofDifference[4] = {0, 0, 0, 0};
  float ofSteps[4] = {0, 0, 0, 0};
  int matrix = lane >> 3;
  int matrixRow = lane & 7;
  int buffer = 0;
  startTile(0, memory);
  endCopies();
  for (int column = 0; column < n; column += SYSTEM_COLUMNS, buffer ^= 1) {
    if (column + SYSTEM_COLUMNS < n) {
      startTile(column + SYSTEM_COLUMNS, memory + (buffer ^ 1) * TILE);
    }
    endCopies();
    awaitCopies<1>();
    __syncthreads();

    float product[2][SYSTEM_COLUMNS / 8][4];
#pragma unroll
    for (int i = 0; i < 2 * SYSTEM_COLUMNS / 8 * 4; i++) {
      (&product[0][0][0])[i] = 0;
    }
    const u16* tile = memory + buffer * TILE + ((matrix >> 1) * 8 + matrixRow) * WIDTH +
                      (matrix & 1) * 8;
#pragma unroll 1
    for (int part = 0; part < SYSTEM_PARTS; part++) {
#pragma unroll
      for (int k = 0; k < RUN / 16; k++) {
#pragma unroll
        for (int c = 0; c < SYSTEM_COLUMNS; c += 16) {
          u32 b[4];
          loadMatrices(b, tile + (part * SYSTEM_COLUMNS + c) * WIDTH + 16 * k);
#pragma unroll
          for (int half = 0; half < 2; half++) {
            multiplyAdd(product[half][c / 8], a[half][k], b);
            multiplyAdd(product[half][c / 8 + 1], a[half][k], b + 2);
          }
        }
      }
    }

#pragma unroll
    for (int c = 0; c < SYSTEM_COLUMNS / 8; c++) {
      int at = column + 8 * c + 2 * t;
      int other = (column + 8 * c) / RUN;
#pragma unroll
      for (int r = 0; r < 4; r++) {
        if (row + 8 * r < steps.rows) {
          float x = product[r >> 1][c][2 * (r & 1)];
          float y = product[r >> 1][c][2 * (r & 1) + 1];
          FloatPair d =
              *reinterpret_cast<const FloatPair*>(difference.row<float>(row + 8 * r) + at);
          ofDifference[r] = fmaf(x, d.x, fmaf(y, d.y, ofDifference[r]));
          if (other <= group) {
            u32 s = *reinterpret_cast<const u32*>(steps.row<u16>(row + 8 * r) + at);
            ofSteps[r] = fmaf(x, __uint_as_float(s << 16),
                              fmaf(y, __uint_as_float(s & 0xffff0000u), ofSteps[r]));
          }
        }
      }
      if (other <= group && (column + 8 * c + 8) % RUN == 0) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
          float sum = sumOfRow(ofSteps[r]);
          ofSteps[r] = 0;
          if (t == 0 && row + 8 * r < steps.rows) {
            normal.at<float>(row + 8 * r, (long long)group * (group + 1) / 2 + other) = sum;
          }
        }
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < 4; r++) {
    float sum = sumOfRow(ofDifference[r]);
    if (t == 0 && row + 8 * r < steps.rows) {
      gradient.at<float>(row + 8 * r, group) = sum;
    }
  }
}

extern "C" __global__ void __launch_bounds__(SYSTEM_THREADS, 2)
    refitSystem_32(Matrix steps, Matrix difference, const u16* parts, long long stride,
                   long long step, int first, Matrix normal, Matrix gradient) {
  refitSystemOf<32>(steps, difference, parts, stride, step, first, normal, gradient);
}

extern "C" __global__ void __launch_bounds__(SYSTEM_THREADS, 2)
    refitSystem_64(Matrix steps, Matrix difference, const u16* parts, long long stride,
                   long long step, int first, Matrix normal, Matrix gradient) {
  refitSystemOf<64>(steps, difference, parts, stride, step, first, normal, gradient);
}

extern "C" __global__ void __launch_bounds__(SYSTEM_THREADS, 2)
    refitSystem_128(Matrix steps, Matrix difference, const u16* parts, long long stride,
                    long long step, int first, Matrix normal, Matrix gradient) {
  refitSystemOf<128>(steps, difference, parts, stride, step, first, normal, gradient);
}
