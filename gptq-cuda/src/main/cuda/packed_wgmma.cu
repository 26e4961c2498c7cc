// Products of many rows of activations with 4-bit weights on Hopper's tensor cores: yᵀ = W·xᵀ, where
// W comes as tiles, is brought to bfloat16 in registers and never stored.
//
// A block of 2 × 4 warps computes 128 outputs of TOKENS rows of x; a warp owns one tile of 16 outputs.
// Inputs pass in chunks of 64 through a ring of stages in shared memory that copies fill ahead. While
// the tensor cores multiply one half of a chunk, the warps unpack the next half.
#include "packed_tiles.cuh"
#include "wgmma.cuh"

static const int GROUP_THREADS = 256;
static const int GROUP_WARPS = GROUP_THREADS / 32;
static const int GROUP_OUT = GROUP_WARPS * TILE_OUT;
/** Neighbouring blocks share outputs, so many times TOKENS rows of x at once. */
static const int GROUP_ORDER = 8;

/** A chunk of 64 inputs in shared memory. */
template <int TOKENS>
struct alignas(1024) TokenChunk {
  Words x[TOKENS * 8];
  Words words[GROUP_WARPS][32];
  u32 grids[GROUP_OUT];

  /**
   * Starts the copies of a thread, rows of x from `first` and outputs from 16·tile. What lies beyond
   * the last row or output becomes zero.
   */
  __device__ void start(const Matrix& from, int first, const Tiled& w, int tile, int chunk) {
    int lane = threadIdx.x & 31;
    int warp = threadIdx.x >> 5;
#pragma unroll
    for (int k = 0; k < TOKENS * 8 / GROUP_THREADS; k++) {
      int i = k * GROUP_THREADS + threadIdx.x;
      bool valid = first + i / 8 < from.rows;
      const u16* row = from.row<u16>(valid ? first + i / 8 : first);
      startCopy(&x[swizzled(i / 8, i % 8)], row + chunk * TILE_IN + i % 8 * 8, valid);
    }
    bool exists = (tile + warp) * TILE_OUT < w.out;
    startCopy(&words[warp][lane], w.words(exists ? tile + warp : 0, chunk, lane), exists);
    if (threadIdx.x < GROUP_OUT / 4) {
      int o = tile * TILE_OUT + 4 * threadIdx.x;
      startCopy(&grids[4 * threadIdx.x], w.gridsOf(chunk) + (o < w.out ? o : 0), o < w.out);
    }
  }
};

static const int HALF_STEPS = TILE_STEPS / 2;

/** One half of a warp's part of a chunk: 16 outputs × 32 inputs. */
struct Fragments {
  u32 a[HALF_STEPS][4];

  /**
   * s·(u − z) in bfloat16. The scale goes in as the sum of two bfloat16, so that the product is
   * rounded once but for the last bit of its smaller half.
   */
  template <int TOKENS>
  __device__ void unpack(const TokenChunk<TOKENS>& chunk, int half) {
    int lane = threadIdx.x & 31;
    int warp = threadIdx.x >> 5;
    const u32* words = &chunk.words[warp][lane].v[half * HALF_STEPS];
    TileGrid grid[2] = {TileGrid(chunk.grids[warp * TILE_OUT + (lane >> 2)]),
                        TileGrid(chunk.grids[warp * TILE_OUT + (lane >> 2) + 8])};
    u32 scale[2];
    u32 rest[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      scale[i] = packPair(grid[i].scale, grid[i].scale);
      float left = grid[i].scale - __uint_as_float(scale[i] & 0xffff0000u);
      rest[i] = packPair(left, left);
    }
#pragma unroll
    for (int step = 0; step < HALF_STEPS; step++) {
      u32 codes[4];
      expand(words[step], grid[0], grid[1], codes);
#pragma unroll
      for (int p = 0; p < 4; p++) {
        u32 small = multiplyAddPairs(codes[p], rest[p & 1], MINUS_ZERO_PAIR);
        a[step][p] = multiplyAddPairs(codes[p], scale[p & 1], small);
      }
    }
  }

  /** Starts c += A·B with this half of a chunk's inputs. */
  template <int TOKENS>
  __device__ void multiply(const TokenChunk<TOKENS>& chunk, int half, float* c) const {
    beginProducts();
#pragma unroll
    for (int step = 0; step < HALF_STEPS; step++) {
      startProduct<TOKENS>(c, a[step], chunk.x, half * HALF_STEPS + step);
    }
    endProducts();
  }
};

/** The block's place: outputs from 16·tile, rows of x from `first`. */
template <int TOKENS>
struct Place {
  int tile;
  int first;

  __device__ explicit Place(const Matrix& x) {
    int columns = (x.rows + TOKENS - 1) / TOKENS;
    int rows = gridDim.x / columns;
    int band = blockIdx.x / (GROUP_ORDER * rows);
    int left = columns - band * GROUP_ORDER;
    int width = left < GROUP_ORDER ? left : GROUP_ORDER;
    int within = blockIdx.x - band * GROUP_ORDER * rows;
    tile = within / width * GROUP_WARPS;
    first = (band * GROUP_ORDER + within % width) * TOKENS;
  }
};

/** Writes C as rows of y, through shared memory, 16 bytes a lane. */
template <int TOKENS>
__device__ inline void storeRows(const float* c, const Place<TOKENS>& place,
                                 u16 (*rows)[GROUP_OUT + 8], const Matrix& y) {
  int lane = threadIdx.x & 31;
  int column = (threadIdx.x >> 5) * TILE_OUT + (lane & 8);
#pragma unroll
  for (int j = 0; j < TOKENS / 8; j += 2) {
    u32 pairs[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      pairs[i] = packPair(c[4 * j + 2 * i], c[4 * j + 2 * i + 1]);
    }
    storeTransposedMatrices(&rows[8 * (j + (lane >> 4)) + (lane & 7)][column], pairs);
  }
  __syncthreads();
  const int pieces = GROUP_OUT / 8;
  for (int i = threadIdx.x; i < TOKENS * pieces; i += GROUP_THREADS) {
    int token = place.first + i / pieces;
    int o = place.tile * TILE_OUT + i % pieces * 8;
    if (token < y.rows && o < y.columns) {
      *reinterpret_cast<Words*>(y.row<u16>(token) + o) =
          *reinterpret_cast<const Words*>(&rows[i / pieces][i % pieces * 8]);
    }
  }
}

/** y = x·Wᵀ; rows of x and y start at multiples of 16 bytes. */
template <int TOKENS, int STAGES>
__device__ inline void groupMatmulOf(Matrix x, Tiled w, Matrix y) {
  typedef TokenChunk<TOKENS> Stage;
  DYNAMIC_SHARED(Stage, ring);
  Place<TOKENS> place(x);
  int chunks = w.chunks();
  float c[TOKENS / 2] = {};
  Fragments halves[2];

#pragma unroll
  for (int s = 0; s < STAGES - 2; s++) {
    if (s < chunks) {
      ring[s].start(x, place.first, w, place.tile, s);
    }
    endCopies();
  }
  awaitCopies<STAGES - 3>();
  publishToProducts();
  __syncthreads();
  halves[0].unpack(ring[0], 0);
  int slot = 0;
  for (int chunk = 0; chunk < chunks; chunk++) {
    int next = slot == STAGES - 1 ? 0 : slot + 1;
    awaitCopies<STAGES - 4>();
    publishToProducts();
    // The next chunk is there, and all warps have ended their products with the one before last.
    __syncthreads();
    if (chunk + STAGES - 2 < chunks) {
      int free = slot >= 2 ? slot - 2 : slot + STAGES - 2;
      ring[free].start(x, place.first, w, place.tile, chunk + STAGES - 2);
    }
    endCopies();
    halves[0].multiply(ring[slot], 0, c);
    awaitProducts<1>();
    halves[1].unpack(ring[slot], 1);
    halves[1].multiply(ring[slot], 1, c);
    awaitProducts<1>();
    if (chunk + 1 < chunks) {
      halves[0].unpack(ring[next], 0);
    }
    slot = next;
  }
  awaitProducts<0>();
  awaitCopies<0>();
  __syncthreads();
  storeRows<TOKENS>(c, place, reinterpret_cast<u16(*)[GROUP_OUT + 8]>(ring), y);
}

#define GROUP_MATMUL(tokens, stages, blocks)                          \
  extern "C" __global__ void __launch_bounds__(GROUP_THREADS, blocks) \
      groupMatmul_##tokens(Matrix x, Tiled w, Matrix y) {             \
    groupMatmulOf<tokens, stages>(x, w, y);                           \
  }
GROUP_MATMUL(64, 8, 2)
GROUP_MATMUL(128, 5, 2)
GROUP_MATMUL(256, 6, 1)
