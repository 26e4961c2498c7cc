// The tiles of packed_tiles.cuh: how they are made, multiplied by few rows, and unpacked.
#include "packed.cu"
#include "packed_strip.cuh"

/** Brings words of packed.cu into tiles; a block is one tile, 32 lanes. */
template <int BITS>
__device__ inline void tileWordsOf(const u32* words, int out, int in, u32* tiles) {
  typedef PairPlace<BITS> Place;
  int lane = threadIdx.x;
  int g = lane >> 2;
  int t = lane & 3;
  u32 result[BITS] = {};
#pragma unroll
  for (int r = 0; r < 4 * TILE_STEPS; r++) {
    int o = blockIdx.x * TILE_OUT + g + 8 * (r & 1);
    int i = blockIdx.y * TILE_IN + inputOf(r / 4, t, r & 3);
    u32 codes = codeAt<BITS>(words, out, o, i) | codeAt<BITS>(words, out, o, i + 1) << 16;
    if (BITS == 8) {
      codes ^= 0x00800080u;
    }
#pragma unroll
    for (int bit = 0; bit < BITS; bit++) {
      result[Place::wordOf(r, bit)] |= (codes >> bit & 0x00010001u) << Place::bitOf(r, bit);
    }
  }
  u32* tile = tiles + ((long long)blockIdx.x * gridDim.y + blockIdx.y) * TileWords<BITS>::COUNT;
#pragma unroll
  for (int w = 0; w < BITS; w++) {
    tile[TileWords<BITS>::placeOf(lane, w)] = result[w];
  }
}

/** Scales and zero points as the tiles' kernels want them; one thread an element. */
template <int BITS>
__device__ inline void tileGridsOf(const float* scales, const float* zeros, float fixedZero,
                                   int count, u32* grids) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    float zero = zeros ? zeros[i] : fixedZero;
    grids[i] = u32(floatToHalf(scales[i])) << 16 | TileGrid<BITS>::encode(zero);
  }
}

/** A lane's weights of 16 inputs into rows of its two outputs. */
template <int BITS, int STEP>
__device__ inline void unpackStep(const CodeReader<BITS>& codes, const TileWords<BITS>& words,
                                  const u32* grids, int t, u32* const* rows) {
  u32 a[4];
  codes.template fragment<STEP>(words, a);
#pragma unroll
  for (int p = 0; p < 4; p++) {
    float scale = TileGrid<BITS>::scale(grids[p & 1]);
    float shift = TileGrid<BITS>::shift(grids[p & 1]);
    if constexpr (!CodeReader<BITS>::ONE_BASE) {
      shift -= valueOfBase<BITS>(CodeReader<BITS>::baseOf(4 * STEP + p));
    }
    float low = bfloatToFloat(u16(a[p])) + shift;
    float high = bfloatToFloat(u16(a[p] >> 16)) + shift;
    rows[p & 1][inputOf(STEP, t, p) / 2] = packPair(scale * low, scale * high);
  }
}

/** w[o − first][i] = W[o][i]; w has contiguous rows. A warp writes one tile. */
template <int BITS>
__device__ inline void unpackTilesOf(const Tiled& p, int first, const Matrix& w) {
  __shared__ Words tiles[4][TILE_OUT][TILE_IN / 8 + 1];
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int g = lane >> 2;
  int t = lane & 3;
  int chunk = blockIdx.y * 4 + warp;
  int out = first + blockIdx.x * TILE_OUT;
  if (chunk < p.chunks()) {
    CodeReader<BITS> codes;
    TileWords<BITS> words;
    words.load(reinterpret_cast<const u32*>(p.tileOf<BITS>(out / TILE_OUT, chunk)), lane);
    u32 grid[2] = {p.gridsOf(chunk)[out + g], p.gridsOf(chunk)[out + g + 8]};
u32* rows[2] = {reinterpret_cast<u32*>(tiles[warp][g]), reinterpret_cast<u32*>(tiles[warp][g + 8])};
    unpackStep<BITS, 0>(codes, words, grid, t, rows);
    unpackStep<BITS, 1>(codes, words, grid, t, rows);
    unpackStep<BITS, 2>(codes, words, grid, t, rows);
    unpackStep<BITS, 3>(codes, words, grid, t, rows);
    __syncwarp();
    for (int i = lane; i < TILE_OUT * TILE_IN / 8; i += 32) {
      int o = i / (TILE_IN / 8);
      int piece = i % (TILE_IN / 8);
      *reinterpret_cast<Words*>(w.row<u16>(out - first + o) + chunk * TILE_IN + 8 * piece) =
          tiles[warp][o][piece];
    }
  }
}

#define STRIP_MATMUL(bits, strip, fragments, stages, threads)                              \
  extern "C" __global__ void __launch_bounds__(threads, 1)                                 \
      stripMatmul_##bits##_##strip##_##fragments(Matrix x, Tiled w, int first, Matrix y) { \
    stripMatmulOf<bits, strip, fragments, stages, 1>(x, w, first, y);                      \
  }
#define STRIP_MATMULS(bits, strip, stages, threads) \
  STRIP_MATMUL(bits, strip, 1, stages, threads)     \
  STRIP_MATMUL(bits, strip, 2, stages, threads)
// Wide strips of narrow codes have a stage more, so that as many bytes are under way.
#define TILES_OF(bits, stagesOfWide)                                                           \
  STRIP_MATMULS(bits, 2, 3, 512)                                                               \
  STRIP_MATMULS(bits, 4, 3, 384)                                                               \
  STRIP_MATMULS(bits, 6, 3, 256)                                                               \
  STRIP_MATMULS(bits, 8, 3, 256)                                                               \
  STRIP_MATMULS(bits, 12, stagesOfWide, 256)                                                   \
  STRIP_MATMULS(bits, 14, stagesOfWide, 256)                                                   \
  extern "C" __global__ void tileWords_##bits(const u32* words, int out, int in, u32* tiles) { \
    tileWordsOf<bits>(words, out, in, tiles);                                                  \
  }                                                                                            \
  extern "C" __global__ void tileGrids_##bits(const float* scales, const float* zeros,         \
                                              float fixedZero, int count, u32* grids) {        \
    tileGridsOf<bits>(scales, zeros, fixedZero, count, grids);                                 \
  }                                                                                            \
  extern "C" __global__ void __launch_bounds__(128)                                            \
      unpackTiles_##bits(Tiled p, int first, Matrix w) {                                       \
    unpackTilesOf<bits>(p, first, w);                                                          \
  }
TILES_OF(2, 3)
TILES_OF(3, 3)
TILES_OF(4, 2)
TILES_OF(5, 2)
TILES_OF(6, 2)
TILES_OF(7, 2)
TILES_OF(8, 2)
