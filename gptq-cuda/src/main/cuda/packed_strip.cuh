// Products of up to 16 rows of activations with weights of 2 to 8 bits on tensor cores. Such a product takes
// as long as its weights take to arrive: each is read once, and copies run ahead of the arithmetic.
//
// The tiles of 16 outputs are dealt evenly to the blocks, or to pairs of blocks, in strips of up to
// STRIP tiles. The warps of a strip take its inputs in turns, in chunks of 64, each with a queue of
// copies of its own, and do not wait for each other before the end, where their sums are added in
// order.
#pragma once
#include "cluster.cuh"
#include "packed_tiles.cuh"

/** A chunk in shared memory: up to 16·STRIP outputs × 64 inputs and 8·FRAGMENTS rows of x. */
template <int BITS, int STRIP, int FRAGMENTS>
struct alignas(16) Chunk {
  /** Pieces of 16 bytes for each lane. */
  static const int COPIES = (STRIP * TileWords<BITS>::COUNT + 127) / 128;

  u32 words[COPIES][128];
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
template <int BITS>
struct CopySource {
  /** Pieces of 16 bytes of a tile. A turn is the fewest tiles whose pieces all lanes share evenly. */
  static const int PIECES = TileWords<BITS>::COUNT / 4;
  static const int TILES_OF_TURN = BITS % 4 == 0 ? 1 : BITS % 2 == 0 ? 2 : 4;
  static const int COPIES_OF_TURN = TILES_OF_TURN * PIECES / 32;

  const u8* words;
  const u8* grids;
  const u8* x;
  int bytesOfTurn;
  int bytesOfFourRows;
  int bytesOfGroup;
  int chunksOfGroup;
  int chunk;
  int chunkOfGroup;
  /** From a lane's first piece of a turn to its others. */
  int toPiece[COPIES_OF_TURN];

  __device__ CopySource(const Matrix& from, const Tiled& w, int first, const Strip& strip,
                        int chunk, int lane)
      : chunk(chunk) {
    chunksOfGroup = w.groupSize / TILE_IN;
    chunkOfGroup = chunk % chunksOfGroup;
    int bytesOfTile = w.chunks() * TileWords<BITS>::COUNT * int(sizeof(u32));
    bytesOfTurn = TILES_OF_TURN * bytesOfTile;
    bytesOfFourRows = 4 * int(from.rowStride) * int(sizeof(u16));
    bytesOfGroup = w.out * int(sizeof(u32));
#pragma unroll
    for (int k = 0; k < COPIES_OF_TURN; k++) {
      // The first form is the same number, known when this is compiled.
      int atPiece = (32 * k + lane) / PIECES * bytesOfTile + (32 * k + lane) % PIECES * 16;
      toPiece[k] = PIECES % 32 == 0 ? 512 * k : k == 0 ? atPiece : atPiece - toPiece[0];
    }
    words = w.tileOf<BITS>(strip.tile, chunk) + (PIECES % 32 == 0 ? 16 * lane : toPiece[0]);
    toPiece[0] = 0;
    grids = reinterpret_cast<const u8*>(w.gridsOf(chunk) + strip.tile * TILE_OUT + 4 * lane);
    x = reinterpret_cast<const u8*>(from.row<u16>(first + (lane >> 3)) + chunk * TILE_IN +
                                    8 * (lane & 7));
  }

  __device__ void advance(int chunks) {
    chunk += chunks;
    words += chunks * TileWords<BITS>::COUNT * int(sizeof(u32));
    x += chunks * TILE_IN * int(sizeof(u16));
    for (chunkOfGroup += chunks; chunkOfGroup >= chunksOfGroup; chunkOfGroup -= chunksOfGroup) {
      grids += bytesOfGroup;
    }
  }

  /** Starts the copies of a lane. Rows of x beyond the last become zero. */
  template <int STRIP, int FRAGMENTS>
  __device__ void start(Chunk<BITS, STRIP, FRAGMENTS>& to, const Strip& strip, int lane) const {
    const u8* from = words;
    int pieces = strip.tiles * PIECES - lane;
#pragma unroll
    for (int i = 0; i < Chunk<BITS, STRIP, FRAGMENTS>::COPIES; i++) {
      if (PIECES % 32 == 0 ? i / COPIES_OF_TURN < strip.tiles : 32 * i < pieces) {
        startCopy(&to.words[i][4 * lane], from + toPiece[i % COPIES_OF_TURN], true);
      }
      if (i % COPIES_OF_TURN == COPIES_OF_TURN - 1) {
        from += bytesOfTurn;
      }
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
 * The products of a warp. Codes u are read as base + u, base being a power of two, and
 *
 *   Σ s·(u − z)·x = s·(Σ (base + u)·x − Σ base·x − z·Σ x)
 *
 * where the sums start with the terms on the right, which come from products for all tiles together:
 * (base + z)·Σ x where there is but one base. Tiles that the strip does not have are multiplied too,
 * whatever they hold, and not stored.
 */
template <int BITS, int STRIP, int FRAGMENTS>
struct StripSums {
  typedef CodeReader<BITS> Codes;

  float sum[STRIP][FRAGMENTS][4];
  Codes codes;

  __device__ StripSums() : sum(), codes() {}

  /** What the sums of the tiles with grids of zero are without codes: −Σ base·x. */
  __device__ static void subtractBases(float (*minusBases)[4], const u32 (*b)[2 * TILE_STEPS]) {
#pragma unroll
    for (int step = 0; step < TILE_STEPS; step++) {
      u32 bases[4];
#pragma unroll
      for (int p = 0; p < 4; p++) {
        bases[p] = twice(0xc300 - (Codes::baseOf(4 * step + p) * BITS << 7));
      }
#pragma unroll
      for (int n = 0; n < FRAGMENTS; n++) {
        multiplyAdd(minusBases[n], bases, b[n] + 2 * step);
      }
    }
  }

  template <int STEP>
  __device__ void multiplyStep(float (*part)[4], const TileWords<BITS>& words,
                               const u32 (*b)[2 * TILE_STEPS]) const {
    u32 a[4];
    codes.template fragment<STEP>(words, a);
#pragma unroll
    for (int n = 0; n < FRAGMENTS; n++) {
      multiplyAdd(part[n], a, b[n] + 2 * STEP);
    }
  }

  __device__ void add(const Chunk<BITS, STRIP, FRAGMENTS>& chunk, int lane) {
    const u32 ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
    u32 b[FRAGMENTS][2 * TILE_STEPS];
    float ofX[FRAGMENTS][4] = {};
    float minusBases[FRAGMENTS][4] = {};
#pragma unroll
    for (int n = 0; n < FRAGMENTS; n++) {
      loadMatrices(&b[n][0], &chunk.x[8 * n + (lane & 7)][8 * (lane >> 3)]);
      loadMatrices(&b[n][4], &chunk.x[8 * n + (lane & 7)][8 * (lane >> 3) + 32]);
#pragma unroll
      for (int step = 0; step < TILE_STEPS; step++) {
        multiplyAdd(ofX[n], ones, b[n] + 2 * step);
      }
    }
    if constexpr (!Codes::ONE_BASE) {
      subtractBases(minusBases, b);
    }
#pragma unroll
    for (int m = 0; m < STRIP; m++) {
      if (m == STRIP / 2) {
        // Or the compiler reads so many tiles ahead that it runs out of registers.
        __syncwarp();
      }
      TileWords<BITS> words;
      words.load(&chunk.words[0][0] + m * TileWords<BITS>::COUNT, lane);
      float scale[2];
      float part[FRAGMENTS][4];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        u32 grid = chunk.grids[m * TILE_OUT + (lane >> 2) + 8 * half];
        scale[half] = TileGrid<BITS>::scale(grid);
        float shift = TileGrid<BITS>::shift(grid);
#pragma unroll
        for (int i = 0; i < 2 * FRAGMENTS; i++) {
          float& start = part[i / 2][2 * half + (i & 1)];
          if constexpr (Codes::ONE_BASE) {
            start = shift * ofX[i / 2][i & 1];
          } else {
            start = fmaf(shift, ofX[i / 2][i & 1], minusBases[i / 2][2 * half + (i & 1)]);
          }
        }
      }
multiplyStep<0>(part, words, b);
      multiplyStep<1>(part, words, b);
      multiplyStep<2>(part, words, b);
      multiplyStep<3>(part, words, b);
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

  template <int BITS>
  __device__ void put(const StripSums<BITS, STRIP, FRAGMENTS>& from, int lane) {
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
template <int BITS, int STRIP, int FRAGMENTS, int STAGES, int BLOCKS>
__device__ inline void stripMatmulOf(const Matrix& x, const Tiled& w, int first, const Matrix& y) {
  typedef Chunk<BITS, STRIP, FRAGMENTS> Stage;
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
  CopySource<BITS> source(x, w, first, strip, rank * warps + warp, lane);
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    if (source.chunk < chunks) {
      source.start(queue[s], strip, lane);
    }
    endCopies();
    source.advance(stride);
  }
  StripSums<BITS, STRIP, FRAGMENTS> sums;
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
