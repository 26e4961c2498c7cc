// Products of a few rows of activations with 4-bit weights on tensor cores, and the layout that
// serves them. Each weight is read once, 16 bytes a lane, and goes from its nibble to a fragment of
// bfloat16 by a shift, a mask and a subtraction.
//
// A tile is 16 outputs × 64 inputs: 4 words a lane, one for each step of 16 inputs. With g = lane / 4
// and t = lane % 4, nibble p of the lower half of word `step` is the code of output g + 8·(p & 1) and
// input 16t + 4·step + 2·(p >> 1), nibble p of the upper half that of the next input: the four
// registers of a fragment. A sum does not mind the order of its inputs, and in this one the 16
// activations that a lane needs of a row are neighbours: two loads instead of eight. Tiles of 16
// outputs follow each other along the inputs.
//
// A nibble u on bits 1 … 4 of the bfloat16 64 makes 64 + u in steps of one half; 64 + z has a zero
// point of a half as well, and the difference u − z is exact.
#include "packed.cu"
#include "mma.cuh"

static const int TILE_OUT = 16;
static const int TILE_IN = 64;
static const int TILE_STEPS = TILE_IN / 16;
static const u32 BASE_PAIR = 0x42804280u;
static const u32 NIBBLE_MASK = 0x001e001eu;
static const u32 ONE_PAIR = 0x3f803f80u;

struct alignas(16) Words {
  u32 v[4];
};

/** Packed weights in tiles. grids[group · out + o]: scale as binary16, then 64 + z as bfloat16. */
struct Tiled {
  const Words* tiles;
  const u32* grids;
  int out;
  int in;
  int groupSize;
  int reserved;
};

/** The four registers of 64 + u of a word. */
__device__ inline void expand(u32 word, u32* pairs) {
  pairs[0] = ((word << 1) & NIBBLE_MASK) | BASE_PAIR;
  pairs[1] = ((word >> 3) & NIBBLE_MASK) | BASE_PAIR;
  pairs[2] = ((word >> 7) & NIBBLE_MASK) | BASE_PAIR;
  pairs[3] = ((word >> 11) & NIBBLE_MASK) | BASE_PAIR;
}

/** −(64 + z), twice. */
__device__ inline u32 negatedZeroPair(u32 grid) {
  u32 zero = (grid & 0xffffu) ^ 0x8000u;
  return zero | zero << 16;
}

/** The input, counted from the tile's first, of nibble p of the lower half of a lane's word. */
__device__ inline int inputOf(int step, int t, int p) { return 16 * t + 4 * step + 2 * (p >> 1); }

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

static const int TILED_WARPS = 8;

/**
 * y[first + n] = Σ s·(u − z)·x[first + n] for up to 8·COLUMNS rows of x. A block computes 16·TILES
 * outputs; its warps take the inputs in turns of 64·DEPTH, and their sums are added in order. A
 * product of 16 outputs with 8 rows of x costs one fragment of each.
 */
template <int TILES, int COLUMNS, int DEPTH>
__device__ inline void tiledMatmulOf(Matrix x, Tiled w, int first, Matrix y) {
  __shared__ float sums[TILED_WARPS][TILE_OUT * TILES][8 * COLUMNS + 1];
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int g = lane >> 2;
  int t = lane & 3;
  int chunks = w.in / TILE_IN;
  int chunksOfWarp = (chunks + TILED_WARPS - 1) / TILED_WARPS;
  int from = warp * chunksOfWarp;
  int to = chunks - from < chunksOfWarp ? chunks : from + chunksOfWarp;
  int out = blockIdx.x * TILE_OUT * TILES;
  const Words* tiles = w.tiles + (long long)blockIdx.x * TILES * chunks * 32 + lane;

  float sum[TILES][COLUMNS][4] = {};
  const Words* rows[COLUMNS];
  bool live[COLUMNS];
#pragma unroll
  for (int n = 0; n < COLUMNS; n++) {
    int row = first + 8 * n + g;
    live[n] = row < x.rows;
    rows[n] = reinterpret_cast<const Words*>(x.row<u16>(live[n] ? row : first)) + 2 * t;
  }

  Words next[DEPTH][TILES];
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
#pragma unroll
    for (int m = 0; m < TILES; m++) {
      if (from + d < to) {
        next[d][m] = tiles[((long long)m * chunks + from + d) * 32];
      }
    }
  }
  for (int begin = from; begin < to; begin += DEPTH) {
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
      int chunk = begin + d;
      if (chunk < to) {
        Words words[TILES];
        u32 grid[TILES][2];
        const u32* grids = w.grids + (long long)(chunk * TILE_IN / w.groupSize) * w.out + out + g;
#pragma unroll
        for (int m = 0; m < TILES; m++) {
          words[m] = next[d][m];
          if (chunk + DEPTH < to) {
            next[d][m] = tiles[((long long)m * chunks + chunk + DEPTH) * 32];
          }
          grid[m][0] = grids[m * TILE_OUT];
          grid[m][1] = grids[m * TILE_OUT + 8];
        }
        u32 b[COLUMNS][2 * TILE_STEPS] = {};
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
          if (live[n]) {
            const Words* p = rows[n] + chunk * (TILE_IN / 8);
            *reinterpret_cast<Words*>(&b[n][0]) = p[0];
            *reinterpret_cast<Words*>(&b[n][4]) = p[1];
          }
        }
        float part[TILES][COLUMNS][4] = {};
#pragma unroll
        for (int step = 0; step < TILE_STEPS; step++) {
#pragma unroll
          for (int m = 0; m < TILES; m++) {
            u32 a[4];
            expand(words[m].v[step], a);
            u32 low = negatedZeroPair(grid[m][0]);
            u32 high = negatedZeroPair(grid[m][1]);
            a[0] = multiplyAddPairs(a[0], ONE_PAIR, low);
            a[1] = multiplyAddPairs(a[1], ONE_PAIR, high);
            a[2] = multiplyAddPairs(a[2], ONE_PAIR, low);
            a[3] = multiplyAddPairs(a[3], ONE_PAIR, high);
#pragma unroll
            for (int n = 0; n < COLUMNS; n++) {
              multiplyAdd(part[m][n], a, b[n] + 2 * step);
            }
          }
        }
#pragma unroll
        for (int m = 0; m < TILES; m++) {
          float low = halfToFloat(u16(grid[m][0] >> 16));
          float high = halfToFloat(u16(grid[m][1] >> 16));
#pragma unroll
          for (int n = 0; n < COLUMNS; n++) {
            sum[m][n][0] = fmaf(low, part[m][n][0], sum[m][n][0]);
            sum[m][n][1] = fmaf(low, part[m][n][1], sum[m][n][1]);
            sum[m][n][2] = fmaf(high, part[m][n][2], sum[m][n][2]);
            sum[m][n][3] = fmaf(high, part[m][n][3], sum[m][n][3]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < TILES; m++) {
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sums[warp][m * TILE_OUT + g + 8 * (i >> 1)][8 * n + 2 * t + (i & 1)] = sum[m][n][i];
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < TILE_OUT * TILES * 8 * COLUMNS; i += TILED_WARPS * 32) {
    int o = i % (TILE_OUT * TILES);
    int n = i / (TILE_OUT * TILES);
    if (first + n < x.rows) {
      float total = 0;
      for (int k = 0; k < TILED_WARPS; k++) {
        total += sums[k][o][n];
      }
      store(&y.at<bf16>(first + n, out + o), total);
    }
  }
}

#define TILED_MATMUL(tiles, columns, depth)                                       \
  extern "C" __global__ void __launch_bounds__(256)                               \
      tiledMatmul_##tiles##_##columns(Matrix x, Tiled w, int first, Matrix y) {   \
    tiledMatmulOf<tiles, columns, depth>(x, w, first, y);                         \
  }
TILED_MATMUL(1, 1, 4)
TILED_MATMUL(1, 2, 4)
TILED_MATMUL(2, 1, 2)
TILED_MATMUL(2, 2, 2)
TILED_MATMUL(4, 1, 1)

/** w[o − first][i] = W[o][i]; w has contiguous rows. A warp writes one tile. */
extern "C" __global__ void __launch_bounds__(128)
    unpackTiles(Tiled p, int first, Matrix w) {
  __shared__ Words tiles[4][TILE_OUT][TILE_IN / 8 + 1];
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int g = lane >> 2;
  int t = lane & 3;
  int chunks = p.in / TILE_IN;
  int chunk = blockIdx.y * 4 + warp;
  int out = first + blockIdx.x * TILE_OUT;
  if (chunk < chunks) {
    Words words = p.tiles[((long long)(out / TILE_OUT) * chunks + chunk) * 32 + lane];
    const u32* grids = p.grids + (long long)(chunk * TILE_IN / p.groupSize) * p.out + out + g;
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
