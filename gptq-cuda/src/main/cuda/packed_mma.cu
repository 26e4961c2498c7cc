// Products of up to 16 rows of activations with 4-bit weights on tensor cores. Such a product takes
// as long as its weights take to arrive: each is read once, and copies run ahead of the arithmetic.
//
// The tiles of 16 outputs are dealt evenly to one block a processor, which takes them in strips of up
// to STRIP tiles. The warps of a block take the strip's inputs in turns, in chunks of 64, each with a
// queue of copies of its own, and do not wait for each other before the strip's end, where their sums
// are added in order.
#include "packed.cu"
#include "packed_tiles.cuh"

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

/** Tiles whose sums the warps of a block exchange at once. */
static const int ROUND_TILES = 4;

/** Sums of four neighbouring outputs. */
struct alignas(16) Sums {
  float v[4];
};

/** Two words that are stored at once. */
struct alignas(8) Pairs {
  u32 v[2];
};

/** A chunk on its way to a warp: up to 16·STRIP outputs × 64 inputs and 8·COLUMNS rows of x. */
template <int STRIP, int COLUMNS>
struct alignas(16) Chunk {
  Words words[STRIP][32];
  u32 grids[STRIP * TILE_OUT];
  // Rows of 144 bytes: those that are loaded at once start in different banks.
  u16 x[8 * COLUMNS][TILE_IN + 8];

  /** Starts the copies of a lane: `tiles` tiles from `tile`. Rows of x beyond the last become zero. */
  __device__ void start(const Matrix& from, int first, const Tiled& w, int tile, int tiles,
                        int chunk, int lane) {
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
      if (m < tiles) {
        startCopy(&words[m][lane], w.words(tile + m, chunk, lane), true);
      }
    }
    if (4 * lane < tiles * TILE_OUT) {
      startCopy(&grids[4 * lane], w.gridsOf(chunk) + tile * TILE_OUT + 4 * lane, true);
    }
#pragma unroll
    for (int k = 0; k < 2 * COLUMNS; k++) {
      int i = 32 * k + lane;
      int row = first + i / 8;
      bool valid = row < from.rows;
      const u16* source = from.row<u16>(valid ? row : first) + chunk * TILE_IN;
      startCopy(&x[i / 8][i % 8 * 8], source + i % 8 * 8, valid);
    }
  }

  /** sum += s·Σ (u − z)·x over the 64 inputs. */
  __device__ void multiply(int tiles, int lane, float (*sum)[COLUMNS][4]) const {
    u32 b[COLUMNS][2 * TILE_STEPS];
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
      loadMatrices(&b[n][0], &x[8 * n + (lane & 7)][8 * (lane >> 3)]);
      loadMatrices(&b[n][4], &x[8 * n + (lane & 7)][8 * (lane >> 3) + 32]);
    }
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
      if (m < tiles) {
        Words tile = words[m][lane];
        TileGrid low(grids[m * TILE_OUT + (lane >> 2)]);
        TileGrid high(grids[m * TILE_OUT + (lane >> 2) + 8]);
        float part[COLUMNS][4] = {};
#pragma unroll
        for (int step = 0; step < TILE_STEPS; step++) {
          u32 a[4];
          expand(tile.v[step], low, high, a);
#pragma unroll
          for (int n = 0; n < COLUMNS; n++) {
            multiplyAdd(part[n], a, b[n] + 2 * step);
          }
        }
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
          sum[m][n][0] = fmaf(low.scale, part[n][0], sum[m][n][0]);
          sum[m][n][1] = fmaf(low.scale, part[n][1], sum[m][n][1]);
          sum[m][n][2] = fmaf(high.scale, part[n][2], sum[m][n][2]);
          sum[m][n][3] = fmaf(high.scale, part[n][3], sum[m][n][3]);
        }
      }
    }
  }
};

/** Where a warp's copies are: chunk by chunk through the strips of its block. */
struct Cursor {
  int strip;
  int chunk;

  __device__ void advance(int by, int chunks) {
    for (chunk += by; chunk >= chunks; chunk -= chunks) {
      strip++;
    }
  }
};

/** The tiles of a block, in strips of nearly equal width. */
struct Strips {
  int tile;
  int tiles;
  int count;

  __device__ Strips(int tilesOfAll, int widest) {
    tile = int((long long)tilesOfAll * blockIdx.x / gridDim.x);
    tiles = int((long long)tilesOfAll * (blockIdx.x + 1) / gridDim.x) - tile;
    count = (tiles + widest - 1) / widest;
  }

  __device__ int from(int strip) const { return tile + tiles * strip / count; }
  __device__ int width(int strip) const { return from(strip + 1) - from(strip); }
};

/** y[first + n] = Σ s·(u − z)·x[first + n] for up to 8·COLUMNS rows of x. */
template <int STRIP, int COLUMNS, int STAGES>
__device__ inline void tiledMatmulOf(Matrix x, Tiled w, int first, Matrix y) {
  typedef Chunk<STRIP, COLUMNS> Stage;
  const int round = STRIP < ROUND_TILES ? STRIP : ROUND_TILES;
  const int roundOut = round * TILE_OUT;
  typedef Sums Exchange[8 * COLUMNS][roundOut / 4 + 1];
  DYNAMIC_SHARED(Stage, queues);
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int warps = blockDim.x >> 5;
  Stage* queue = queues + warp * STAGES;
  Exchange* exchange = reinterpret_cast<Exchange*>(queues + warps * STAGES);

  int chunks = w.chunks();
  Strips strips(w.out / TILE_OUT, STRIP);
  int tokens = x.rows - first < 8 * COLUMNS ? x.rows - first : 8 * COLUMNS;
  Cursor ahead = {0, 0};
  ahead.advance(warp, chunks);
  Cursor now = ahead;
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    if (ahead.strip < strips.count) {
      queue[s].start(x, first, w, strips.from(ahead.strip), strips.width(ahead.strip), ahead.chunk,
                     lane);
    }
    endCopies();
    ahead.advance(warps, chunks);
  }
  int slot = 0;
  for (int strip = 0; strip < strips.count; strip++) {
    int tile = strips.from(strip);
    int tiles = strips.width(strip);
    float sum[STRIP][COLUMNS][4] = {};
    while (now.strip == strip) {
      awaitCopies<STAGES - 2>();
      __syncwarp();
      if (ahead.strip < strips.count) {
        int free = slot == 0 ? STAGES - 1 : slot - 1;
        queue[free].start(x, first, w, strips.from(ahead.strip), strips.width(ahead.strip),
                          ahead.chunk, lane);
      }
      endCopies();
      ahead.advance(warps, chunks);
      queue[slot].multiply(tiles, lane, sum);
      now.advance(warps, chunks);
      slot = slot == STAGES - 1 ? 0 : slot + 1;
    }
#pragma unroll
    for (int begin = 0; begin < STRIP; begin += round) {
      if (begin < tiles) {
        __syncthreads();
#pragma unroll
        for (int m = 0; m < round && begin + m < STRIP; m++) {
#pragma unroll
          for (int i = 0; i < 4 * COLUMNS; i++) {
            int n = 8 * (i / 4) + 2 * (lane & 3) + (i & 1);
            int o = m * TILE_OUT + (lane >> 2) + 8 * ((i & 3) >> 1);
            exchange[warp][n][o / 4].v[o % 4] = sum[begin + m][i / 4][i & 3];
          }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < roundOut / 4 * tokens; i += blockDim.x) {
          int n = i / (roundOut / 4);
          int four = i % (roundOut / 4);
          Sums total = {};
#pragma unroll 4
          for (int k = 0; k < warps; k++) {
#pragma unroll
            for (int v = 0; v < 4; v++) {
              total.v[v] += exchange[k][n][four].v[v];
            }
          }
          if (begin + four / (TILE_OUT / 4) < tiles) {
            Pairs pairs = {{packPair(total.v[0], total.v[1]), packPair(total.v[2], total.v[3])}};
            int o = (tile + begin) * TILE_OUT + 4 * four;
            *reinterpret_cast<Pairs*>(y.row<u16>(first + n) + o) = pairs;
          }
        }
      }
    }
  }
}

#define TILED_MATMUL(strip, columns, stages, threads)                                       \
  extern "C" __global__ void __launch_bounds__(threads, 1)                                    \
      tiledMatmul_##strip##_##columns(Matrix x, Tiled w, int first, Matrix y) {               \
    tiledMatmulOf<strip, columns, stages>(x, w, first, y);                                    \
  }
TILED_MATMUL(2, 1, 3, 512)
TILED_MATMUL(2, 2, 3, 512)
TILED_MATMUL(4, 1, 2, 512)
TILED_MATMUL(4, 2, 2, 512)
TILED_MATMUL(7, 1, 2, 384)
TILED_MATMUL(7, 2, 2, 384)

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
