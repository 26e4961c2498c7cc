// Products of up to 16 rows of activations with 4-bit weights on tensor cores. Such a product takes
// as long as its weights take to arrive: each is read once, and copies run ahead of the arithmetic.
//
// The tiles of 16 outputs are dealt evenly to the blocks, or to pairs of blocks, in strips of up to
// STRIP tiles. The warps of a strip take its inputs in turns, in chunks of 64, each with a queue of
// copies of its own, and do not wait for each other before the end, where their sums are added in
// order.
#pragma once
#include "cluster.cuh"
#include "packed_tiles.cuh"

/** Two words that are stored at once. */
struct alignas(8) Pairs {
  u32 v[2];
};

/** A chunk in shared memory: up to 16·STRIP outputs × 64 inputs and 8·FRAGMENTS rows of x. */
template <int STRIP, int FRAGMENTS>
struct alignas(16) Chunk {
  Words words[STRIP][32];
  u32 grids[STRIP * TILE_OUT];
  // Rows of 144 bytes: those that are loaded at once start in different banks.
  u16 x[8 * FRAGMENTS][TILE_IN + 8];
};

/** What a block reads. */
struct Strip {
  int tile;
  int tiles;
  int tokens;

  __device__ Strip(const Matrix& x, const Tiled& w, int first, int most, int number, int strips) {
    int all = w.out / TILE_OUT;
    tile = int((long long)all * number / strips);
    tiles = int((long long)all * (number + 1) / strips) - tile;
    tokens = x.rows - first < most ? x.rows - first : most;
  }
};

/** Where a lane's copies come from: chunk by chunk, without multiplications on the way. */
struct CopySource {
  const u8* words;
  const u8* grids;
  const u8* x;
  int bytesOfTile;
  int bytesOfFourRows;
  int bytesOfGroup;
  int chunksOfGroup;
  int chunk;
  int chunkOfGroup;

  __device__ CopySource(const Matrix& from, const Tiled& w, int first, const Strip& strip,
                        int chunk, int lane)
      : chunk(chunk) {
    chunksOfGroup = w.groupSize / TILE_IN;
    chunkOfGroup = chunk % chunksOfGroup;
    bytesOfTile = w.chunks() * int(sizeof(Words)) * 32;
    bytesOfFourRows = 4 * int(from.rowStride) * int(sizeof(u16));
    bytesOfGroup = w.out * int(sizeof(u32));
    words = reinterpret_cast<const u8*>(w.words(strip.tile, chunk, lane));
    grids = reinterpret_cast<const u8*>(w.gridsOf(chunk) + strip.tile * TILE_OUT + 4 * lane);
    x = reinterpret_cast<const u8*>(from.row<u16>(first + (lane >> 3)) + chunk * TILE_IN +
                                    8 * (lane & 7));
  }

  __device__ void advance(int chunks) {
    chunk += chunks;
    words += chunks * int(sizeof(Words)) * 32;
    x += chunks * TILE_IN * int(sizeof(u16));
    for (chunkOfGroup += chunks; chunkOfGroup >= chunksOfGroup; chunkOfGroup -= chunksOfGroup) {
      grids += bytesOfGroup;
    }
  }

  /** Starts the copies of a lane. Rows of x beyond the last become zero. */
  template <int STRIP, int FRAGMENTS>
  __device__ void start(Chunk<STRIP, FRAGMENTS>& to, const Strip& strip, int lane) const {
    const u8* from = words;
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
      if (m < strip.tiles) {
        startCopy(&to.words[m][lane], from, true);
      }
      from += bytesOfTile;
    }
#pragma unroll
    for (int four = 0; four < STRIP * TILE_OUT / 4; four += 32) {
      if (four + lane < strip.tiles * TILE_OUT / 4) {
        startCopy(&to.grids[4 * (four + lane)], grids + 16 * four, true);
      }
    }
    const u8* rows = x;
#pragma unroll
    for (int row = 0; row < 8 * FRAGMENTS; row += 4) {
      startCopy(&to.x[row + (lane >> 3)][8 * (lane & 7)], rows, row + (lane >> 3) < strip.tokens);
      rows += bytesOfFourRows;
    }
  }
};

/**
 * The products of a warp. A nibble u on the lowest bits of the bfloat16 128 makes 128 + u, and
 *
 *   Σ s·(u − z)·x = s·(Σ (128 + u)·x − (128 + z)·Σ x)
 *
 * where the sums start with the right-hand term and Σ x comes from one more product for all tiles.
 * Tiles that the strip does not have are multiplied too, whatever they hold, and not stored.
 */
template <int STRIP, int FRAGMENTS>
struct StripSums {
  float sum[STRIP][FRAGMENTS][4];
  u32 base;
  u32 mask;

  __device__ StripSums() : sum(), base(pinned(0x43004300u)), mask(pinned(0x000f000fu)) {}

  __device__ void add(const Chunk<STRIP, FRAGMENTS>& chunk, int lane) {
    const u32 ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
    u32 b[FRAGMENTS][2 * TILE_STEPS];
    float ofX[FRAGMENTS][4] = {};
#pragma unroll
    for (int n = 0; n < FRAGMENTS; n++) {
      loadMatrices(&b[n][0], &chunk.x[8 * n + (lane & 7)][8 * (lane >> 3)]);
      loadMatrices(&b[n][4], &chunk.x[8 * n + (lane & 7)][8 * (lane >> 3) + 32]);
#pragma unroll
      for (int step = 0; step < TILE_STEPS; step++) {
        multiplyAdd(ofX[n], ones, b[n] + 2 * step);
      }
    }
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
      if (m == STRIP / 2) {
        // Or the compiler reads so many tiles ahead that it runs out of registers.
        __syncwarp();
      }
      Words tile = chunk.words[m][lane];
      float scale[2];
      float part[FRAGMENTS][4];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        u32 grid = chunk.grids[m * TILE_OUT + (lane >> 2) + 8 * half];
        scale[half] = halfToFloat(u16(grid >> 16));
        float zero = -64.0f - bfloatToFloat(u16(grid));
#pragma unroll
        for (int n = 0; n < FRAGMENTS; n++) {
          part[n][2 * half] = zero * ofX[n][0];
          part[n][2 * half + 1] = zero * ofX[n][1];
        }
      }
#pragma unroll
      for (int step = 0; step < TILE_STEPS; step++) {
        u32 word = tile.v[step];
        u32 a[4] = {place(word, mask, base), place(word >> 4, mask, base),
                    place(word >> 8, mask, base), place(word >> 12, mask, base)};
#pragma unroll
        for (int n = 0; n < FRAGMENTS; n++) {
          multiplyAdd(part[n], a, b[n] + 2 * step);
        }
      }
#pragma unroll
      for (int i = 0; i < 4 * FRAGMENTS; i++) {
        sum[m][i / 4][i & 3] =
            fmaf(scale[(i & 3) >> 1], part[i / 4][i & 3], sum[m][i / 4][i & 3]);
      }
    }
  }
};

/** The sums of one warp, in shared memory where its queues were: rows of outputs, one a token. */
template <int STRIP, int FRAGMENTS>
struct alignas(16) StripExchange {
  // Four floats more a row than outputs: lanes that store at once hit different banks.
  float sums[8 * FRAGMENTS][STRIP * TILE_OUT + 4];

  __device__ void put(const StripSums<STRIP, FRAGMENTS>& from, int lane) {
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
#pragma unroll
      for (int i = 0; i < 4 * FRAGMENTS; i++) {
        int n = 8 * (i / 4) + 2 * (lane & 3) + (i & 1);
        sums[n][m * TILE_OUT + (lane >> 2) + 8 * ((i & 3) >> 1)] = from.sum[m][i / 4][i & 3];
      }
    }
  }
};

/**
 * y[first + n] = Σ s·(u − z)·x[first + n] for up to 8·FRAGMENTS rows of x. BLOCKS of them share a
 * strip: each reads its part of x and of the strip's weights.
 */
template <int STRIP, int FRAGMENTS, int STAGES, int BLOCKS>
__device__ inline void stripMatmulOf(const Matrix& x, const Tiled& w, int first, const Matrix& y) {
  typedef Chunk<STRIP, FRAGMENTS> Stage;
  typedef StripExchange<STRIP, FRAGMENTS> Exchange;
  DYNAMIC_SHARED(Stage, queues);
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int warps = blockDim.x >> 5;
  int rank = 0;
  if constexpr (BLOCKS > 1) {
    rank = clusterRank();
  }
  Strip strip(x, w, first, 8 * FRAGMENTS, blockIdx.x / BLOCKS, gridDim.x / BLOCKS);
  Stage* queue = queues + warp * STAGES;
  int chunks = w.chunks();
  int stride = warps * BLOCKS;
  CopySource source(x, w, first, strip, rank * warps + warp, lane);
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    if (source.chunk < chunks) {
      source.start(queue[s], strip, lane);
    }
    endCopies();
    source.advance(stride);
  }
  StripSums<STRIP, FRAGMENTS> sums;
  int slot = 0;
  while (source.chunk < chunks + (STAGES - 1) * stride) {
    awaitCopies<STAGES - 2>();
    __syncwarp();
    if (source.chunk < chunks) {
      source.start(queue[slot == 0 ? STAGES - 1 : slot - 1], strip, lane);
    }
    endCopies();
    source.advance(stride);
    sums.add(queue[slot], lane);
    slot = slot == STAGES - 1 ? 0 : slot + 1;
  }
  __syncthreads();
  Exchange* exchange = reinterpret_cast<Exchange*>(queues);
  exchange[warp].put(sums, lane);
  if constexpr (BLOCKS > 1) {
    syncCluster();
  } else {
    __syncthreads();
  }
  // Each block adds up its part of the strip's sums, four outputs a thread.
  const int fours = STRIP * TILE_OUT / 4;
  int share = (fours * strip.tokens + BLOCKS - 1) / BLOCKS;
  int end = (rank + 1) * share < fours * strip.tokens ? (rank + 1) * share : fours * strip.tokens;
  for (int i = rank * share + threadIdx.x; i < end; i += blockDim.x) {
    int n = i / fours;
    int o = i % fours * 4;
    float total[4] = {};
#pragma unroll
    for (int block = 0; block < BLOCKS; block++) {
#pragma unroll 8
      for (int k = 0; k < warps; k++) {
        const float* from = &exchange[k].sums[n][o];
        float four[4];
        if constexpr (BLOCKS > 1) {
          loadFromCluster(four, from, block);
        } else {
          *reinterpret_cast<Words*>(four) = *reinterpret_cast<const Words*>(from);
        }
#pragma unroll
        for (int v = 0; v < 4; v++) {
          total[v] += four[v];
        }
      }
    }
    if (o < strip.tiles * TILE_OUT) {
      Pairs pairs = {{packPair(total[0], total[1]), packPair(total[2], total[3])}};
      *reinterpret_cast<Pairs*>(y.row<u16>(first + n) + strip.tile * TILE_OUT + o) = pairs;
    }
  }
  if constexpr (BLOCKS > 1) {
    // The other block may still read here.
    syncCluster();
  }
}
