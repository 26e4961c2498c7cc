// The tiles of packed_tiles.cuh: how they are made, multiplied by few rows, and unpacked.
#include "packed.cu"
#include "packed_strip.cuh"

/** Brings words of packed.cu into tiles; a block is one tile, 32 lanes. */
extern "C" __global__ void tileWords(const u32* words, int out, int in, Words* tiles) {
  int g = threadIdx.x >> 2;
  int t = threadIdx.x & 3;
  Words result;
  for (int step = 0; step < TILE_STEPS; step++) {
    u32 word = 0;
    for (int p = 0; p < 4; p++) {
      int o = blockIdx.x * TILE_OUT + g + 8 * (p & 1);
      int i = blockIdx.y * TILE_IN + inputOf(step, t, p);
      u32 pair = words[(long long)(i / 8) * out + o] >> (i % 8 * 4);
      word |= (pair & 15u) << (4 * p) | ((pair >> 4) & 15u) << (16 + 4 * p);
    }
    result.v[step] = word;
  }
  tiles[((long long)blockIdx.x * gridDim.y + blockIdx.y) * 32 + threadIdx.x] = result;
}

/** Scales and zero points as the tiles' kernels want them; one thread an element. */
extern "C" __global__ void tileGrids(const float* scales, const float* zeros, float fixedZero,
                                     int count, u32* grids) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    float zero = zeros ? zeros[i] : fixedZero;
    grids[i] = u32(floatToHalf(scales[i])) << 16 | floatToBfloat(64.0f + zero);
  }
}

#define STRIP_MATMUL(strip, fragments, stages, threads)                                       \
  extern "C" __global__ void __launch_bounds__(threads, 1)                                    \
      stripMatmul_##strip##_##fragments(Matrix x, Tiled w, int first, Matrix y) {             \
    stripMatmulOf<strip, fragments, stages, 1>(x, w, first, y);                               \
  }
STRIP_MATMUL(2, 1, 3, 512)
STRIP_MATMUL(2, 2, 3, 512)
STRIP_MATMUL(4, 1, 3, 384)
STRIP_MATMUL(4, 2, 3, 384)
STRIP_MATMUL(6, 1, 3, 256)
STRIP_MATMUL(6, 2, 3, 256)
STRIP_MATMUL(8, 1, 3, 256)
STRIP_MATMUL(8, 2, 3, 256)
STRIP_MATMUL(12, 1, 2, 256)
STRIP_MATMUL(12, 2, 2, 256)
STRIP_MATMUL(14, 1, 2, 256)
STRIP_MATMUL(14, 2, 2, 256)

/** w[o − first][i] = W[o][i]; w has contiguous rows. A warp writes one tile. */
extern "C" __global__ void __launch_bounds__(128)
    unpackTiles(Tiled p, int first, Matrix w) {
  __shared__ Words tiles[4][TILE_OUT][TILE_IN / 8 + 1];
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int g = lane >> 2;
  int t = lane & 3;
  int chunk = blockIdx.y * 4 + warp;
  int out = first + blockIdx.x * TILE_OUT;
  if (chunk < p.chunks()) {
    Words words = *p.words(out / TILE_OUT, chunk, lane);
    const u32* grids = p.gridsOf(chunk) + out + g;
    float scale[2] = {halfToFloat(u16(grids[0] >> 16)), halfToFloat(u16(grids[8] >> 16))};
    float zero[2] = {bfloatToFloat(u16(grids[0])) - 64.0f, bfloatToFloat(u16(grids[8])) - 64.0f};
    for (int step = 0; step < TILE_STEPS; step++) {
      u32 word = words.v[step];
      for (int q = 0; q < 4; q++) {
        float low = float((word >> (4 * q)) & 15u) - zero[q & 1];
        float high = float((word >> (16 + 4 * q)) & 15u) - zero[q & 1];
        reinterpret_cast<u32*>(tiles[warp][g + 8 * (q & 1)])[inputOf(step, t, q) / 2] =
            packPair(scale[q & 1] * low, scale[q & 1] * high);
      }
    }
    __syncwarp();
    for (int i = lane; i < TILE_OUT * TILE_IN / 8; i += 32) {
      int o = i / (TILE_IN / 8);
      int piece = i % (TILE_IN / 8);
      *reinterpret_cast<Words*>(w.row<u16>(out - first + o) + chunk * TILE_IN + 8 * piece) =
          tiles[warp][o][piece];
    }
  }
}
