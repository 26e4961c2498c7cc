// Products of many rows of activations with 4-bit weights on Hopper's tensor cores: yᵀ = W·xᵀ, where
// W comes as tiles, is brought to bfloat16 in registers and never stored.
//
// A block computes 128 outputs of TOKENS rows of x. Inputs pass in chunks of 64 through a ring in
// shared memory that one thread fills ahead. TEAMS teams of 2 × 4 warps take the chunks in turns; a
// warp of a team owns one tile of 16 outputs, and unpacks two steps ahead of the tensor cores.
#include "bulk_copy.cuh"
#include "packed_tiles.cuh"
#include "wgmma.cuh"

static const int TEAM_WARPS = 8;
static const int TEAM_THREADS = 32 * TEAM_WARPS;
static const int COPY_THREADS = 128;
static const int GROUP_OUT = TEAM_WARPS * TILE_OUT;
/** Neighbouring blocks share outputs, so many times TOKENS rows of x at once. */
static const int GROUP_ORDER = 8;

/** Rows of x and tiled weights as the copy engine knows them. */
struct Boxes {
  BoxMap x;
  BoxMap words;
  BoxMap grids;
};

/** A chunk of 64 inputs in shared memory. */
template <int TOKENS>
struct alignas(1024) TokenChunk {
  static const int BYTES =
      TOKENS * TILE_IN * 2 + GROUP_OUT * TILE_IN / 2 + GROUP_OUT * int(sizeof(u32));

  Words x[TOKENS * TILE_IN / 8];
  Words words[TEAM_WARPS][32];
  u32 grids[GROUP_OUT];
};

/**
 * Places for chunks, and the barriers that say when each is filled and emptied. Barriers lie apart:
 * the memory of the chunks is used again for sums at the end, and that of a barrier must not be
 * while it is one. Where other processes take turns on the GPU, barriers are put back.
 */
template <int TOKENS, int STAGES>
struct Ring {
  TokenChunk<TOKENS> chunks[STAGES];
  PhaseBarrier filled[STAGES];
  PhaseBarrier emptied[STAGES];

  __device__ void init() {
    for (int s = 0; s < STAGES; s++) {
      filled[s].init(1);
      emptied[s].init(TEAM_WARPS);
    }
    PhaseBarrier::publish();
  }

  /** Starts the copies for rows of x from `first` and outputs from 16·tile to a place. */
  __device__ void fill(int s, const Boxes& boxes, int first, int tile, int chunk, int group) {
    filled[s].arriveExpecting(TokenChunk<TOKENS>::BYTES);
    startBoxCopy(chunks[s].x, boxes.x, chunk * TILE_IN, first, filled[s]);
    startBoxCopy(chunks[s].words, boxes.words, chunk * 32 * 4, tile, filled[s]);
    startBoxCopy(chunks[s].grids, boxes.grids, tile * TILE_OUT, group, filled[s]);
  }
};

/**
 * s·(u − z) for one output. A nibble u on bits 1 … 4 of the bfloat16 64 makes 64 + u in steps of one
 * half; 64 + z has a zero point of a half as well, so the difference u − z is exact. The scale goes
 * in as the sum of two bfloat16, so that the product is rounded once but for the last bit of its
 * smaller half.
 */
struct OutputGrid {
  u32 negatedZero;
  u32 scale;
  u32 rest;

  __device__ void read(u32 bits) {
    u32 zero = (bits & 0xffffu) ^ 0x8000u;
    negatedZero = zero | zero << 16;
    float exact = halfToFloat(u16(bits >> 16));
    scale = packPair(exact, exact);
    float left = exact - __uint_as_float(scale & 0xffff0000u);
    rest = packPair(left, left);
  }

  __device__ u32 weights(u32 basePlusCodes) const {
    const u32 ones = 0x3f803f80u;
    const u32 minusZeros = 0x80008000u;
    u32 codes = multiplyAddPairs(basePlusCodes, ones, negatedZero);
    return multiplyAddPairs(codes, scale, multiplyAddPairs(codes, rest, minusZeros));
  }
};

/** A warp's part of a chunk: 16 outputs × 64 inputs, and its steps as fragments of A. */
template <int TOKENS>
struct Unpacking {
  u32 base;
  u32 mask;
  Words words;
  OutputGrid grids[2];
  u32 fragments[TILE_STEPS][4];

  __device__ Unpacking() : base(pinned(0x42804280u)), mask(pinned(0x001e001eu)) {}

  __device__ void readWords(const TokenChunk<TOKENS>& chunk, int warp, int lane) {
    words = chunk.words[warp][lane];
  }

  __device__ void readGrids(const TokenChunk<TOKENS>& chunk, int warp, int lane) {
    grids[0].read(chunk.grids[warp * TILE_OUT + (lane >> 2)]);
    grids[1].read(chunk.grids[warp * TILE_OUT + (lane >> 2) + 8]);
  }

  __device__ void unpack(int step) {
    u32 word = words.v[step];
    fragments[step][0] = grids[0].weights(place(word << 1, mask, base));
    fragments[step][1] = grids[1].weights(place(word >> 3, mask, base));
    fragments[step][2] = grids[0].weights(place(word >> 7, mask, base));
    fragments[step][3] = grids[1].weights(place(word >> 11, mask, base));
  }

  /** Starts c += A·B for a step. Two steps may be under way besides. */
  __device__ void multiply(const TokenChunk<TOKENS>& chunk, int step, float* c) const {
    beginProducts();
    startProduct<TOKENS>(c, fragments[step], chunk.x, step);
    endProducts();
    awaitProducts<2>();
  }
};

/** The chunks of a warp, from the ring into its sums; `now` and `before` are places, or −1. */
template <int TOKENS, int STAGES>
struct ChunkReader {
  Unpacking<TOKENS> a;
  Ring<TOKENS, STAGES>& ring;
  int now;
  int before = -1;
  int warp;
  int lane;

  __device__ ChunkReader(Ring<TOKENS, STAGES>& ring, int first, int warp, int lane)
      : ring(ring), now(first), warp(warp), lane(lane) {
    ring.filled[now].await(0);
    a.readWords(ring.chunks[now], warp, lane);
    a.readGrids(ring.chunks[now], warp, lane);
    a.unpack(0);
    a.unpack(1);
  }

  /** Multiplies the chunk, whose first two steps are unpacked, and unpacks those of the next. */
  __device__ void advance(int next, int phase, bool otherGroup, float* c) {
    const TokenChunk<TOKENS>& chunk = ring.chunks[now];
    a.multiply(chunk, 0, c);
    a.unpack(2);
    a.multiply(chunk, 1, c);
    // The last step of the chunk before is done.
    if (before >= 0 && lane == 0) {
      ring.emptied[before].arrive();
    }
    a.unpack(3);
    a.multiply(chunk, 2, c);
    ring.filled[next].await(phase);
    a.readWords(ring.chunks[next], warp, lane);
    if (otherGroup) {
      a.readGrids(ring.chunks[next], warp, lane);
    }
    a.unpack(0);
    a.multiply(chunk, 3, c);
    a.unpack(1);
    before = now;
    now = next;
  }

  __device__ void end(float* c) {
    const TokenChunk<TOKENS>& chunk = ring.chunks[now];
    a.multiply(chunk, 0, c);
    a.unpack(2);
    a.multiply(chunk, 1, c);
    a.unpack(3);
    a.multiply(chunk, 2, c);
    a.multiply(chunk, 3, c);
    awaitProducts<0>();
  }
};

/**
 * Adds the products of a team's chunks to c: two that follow each other, which share their grids in
 * groups of 128 inputs and never lie across the ring's end, then those after the other teams' two.
 */
template <int TOKENS, int STAGES, int TEAMS>
__device__ inline void multiplyChunks(Ring<TOKENS, STAGES>& ring, int chunks, int chunksOfGroup,
                                      int team, int warp, int lane, float* c) {
  // If a place of the ring went from team to team, one that is ahead could take the end of a phase
  // for that of the phase but one behind it, which has the same number.
  static_assert(STAGES % (2 * TEAMS) == 0, "pairs of chunks lie side by side, each place is one team's");
  int chunk = 2 * team;
  if (chunk >= chunks) {
    return;
  }
  ChunkReader<TOKENS, STAGES> reader(ring, chunk, warp, lane);
  int phase = 0;
  while (chunk + 1 < chunks) {
    reader.advance(reader.now + 1, phase, chunksOfGroup & 1, c);
    chunk += 2 * TEAMS;
    if (chunk >= chunks) {
      break;
    }
    int next = reader.now + 2 * TEAMS - 1;
    if (next >= STAGES) {
      next -= STAGES;
      phase ^= 1;
    }
    reader.advance(next, phase, true, c);
  }
  reader.end(c);
}

/** The block's place: outputs from 16·tile, rows of x from `first`. */
template <int TOKENS>
struct Place {
  int tile;
  int first;

  __device__ Place(int rowsOfX, int firstTile) {
    int columns = (rowsOfX + TOKENS - 1) / TOKENS;
    int rows = gridDim.x / columns;
    int band = blockIdx.x / (GROUP_ORDER * rows);
    int left = columns - band * GROUP_ORDER;
    int width = left < GROUP_ORDER ? left : GROUP_ORDER;
    int within = blockIdx.x - band * GROUP_ORDER * rows;
    tile = firstTile + within / width * TEAM_WARPS;
    first = (band * GROUP_ORDER + within % width) * TOKENS;
  }
};

/** What the teams exchange at the end, where the chunks were. */
template <int TOKENS>
struct Exchange {
  u16 rows[TOKENS][GROUP_OUT + 8];
  float sums[TOKENS / 2][TEAM_THREADS];
};

/** Adds the sums of the second team, if there is one, to those of the first. */
template <int TOKENS, int TEAMS>
__device__ inline void addTeams(Exchange<TOKENS>& exchange, int team, float* c) {
  if (TEAMS == 2) {
    int thread = threadIdx.x % TEAM_THREADS;
    if (team == 1) {
#pragma unroll
      for (int i = 0; i < TOKENS / 2; i++) {
        exchange.sums[i][thread] = c[i];
      }
    }
    syncFirst<TEAMS * TEAM_THREADS>();
    if (team == 0) {
#pragma unroll
      for (int i = 0; i < TOKENS / 2; i++) {
        c[i] += exchange.sums[i][thread];
      }
    }
  }
}

/** Writes C as rows of y, through shared memory, 16 bytes a lane. */
template <int TOKENS, int TEAMS>
__device__ inline void storeRows(Exchange<TOKENS>& exchange, const Place<TOKENS>& place, int team,
                                 int warp, int lane, const float* c, const Matrix& y) {
  if (team == 0) {
    int column = warp * TILE_OUT + (lane & 8);
#pragma unroll
    for (int j = 0; j < TOKENS / 8; j += 2) {
      u32 pairs[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        pairs[i] = packPair(c[4 * j + 2 * i], c[4 * j + 2 * i + 1]);
      }
      storeTransposedMatrices(&exchange.rows[8 * (j + (lane >> 4)) + (lane & 7)][column], pairs);
    }
  }
  syncFirst<TEAMS * TEAM_THREADS>();
  const int pieces = GROUP_OUT / 8;
  for (int i = threadIdx.x; i < TOKENS * pieces; i += TEAMS * TEAM_THREADS) {
    int token = place.first + i / pieces;
    int o = place.tile * TILE_OUT + i % pieces * 8;
    if (token < y.rows && o < y.columns) {
      *reinterpret_cast<Words*>(y.row<u16>(token) + o) =
          *reinterpret_cast<const Words*>(&exchange.rows[i / pieces][i % pieces * 8]);
    }
  }
}

/** y = x·Wᵀ for outputs from 16·firstTile; rows of x and y start at multiples of 16 bytes. */
template <int TOKENS, int STAGES, int TEAMS, int REGISTERS>
__device__ inline void groupMatmulOf(const Boxes& boxes, const Matrix& y, int chunks,
                                     int chunksOfGroup, int firstTile) {
  static_assert(sizeof(Exchange<TOKENS>) <= STAGES * sizeof(TokenChunk<TOKENS>),
                "sums lie where chunks were, and not over the barriers");
  using RingOf = Ring<TOKENS, STAGES>;
  DYNAMIC_SHARED(RingOf, shared);
  RingOf& ring = *shared;
  Place<TOKENS> place(y.rows, firstTile);
  if (threadIdx.x == 0) {
    ring.init();
  }
  __syncthreads();
  if (threadIdx.x >= TEAMS * TEAM_THREADS) {
    leaveRegisters<24>();
    if (threadIdx.x == TEAMS * TEAM_THREADS) {
      int slot = 0;
      int phase = 1;
      for (int chunk = 0; chunk < chunks; chunk++) {
        ring.emptied[slot].await(phase);
        ring.fill(slot, boxes, place.first, place.tile, chunk, chunk / chunksOfGroup);
        if (++slot == STAGES) {
          slot = 0;
          phase ^= 1;
        }
      }
    }
  } else {
    takeRegisters<REGISTERS>();
    int lane = threadIdx.x & 31;
    int team = threadIdx.x / TEAM_THREADS;
    int warp = threadIdx.x / 32 % TEAM_WARPS;
    float c[TOKENS / 2] = {};
    multiplyChunks<TOKENS, STAGES, TEAMS>(ring, chunks, chunksOfGroup, team, warp, lane, c);
    // All chunks have been used.
    syncFirst<TEAMS * TEAM_THREADS>();
    Exchange<TOKENS>& exchange = *reinterpret_cast<Exchange<TOKENS>*>(ring.chunks);
    addTeams<TOKENS, TEAMS>(exchange, team, c);
    storeRows<TOKENS, TEAMS>(exchange, place, team, warp, lane, c, y);
  }
}

#define GROUP_MATMUL(tokens, stages, teams, registers)                                           \
  extern "C" __global__ void __launch_bounds__(teams * TEAM_THREADS + COPY_THREADS, 1)           \
      groupMatmul_##tokens(const GRID_CONSTANT Boxes boxes, Matrix y, int chunks,                \
                           int chunksOfGroup, int firstTile) {                                   \
    groupMatmulOf<tokens, stages, teams, registers>(boxes, y, chunks, chunksOfGroup, firstTile); \
  }
GROUP_MATMUL(64, 12, 2, 112)
GROUP_MATMUL(128, 8, 2, 112)
GROUP_MATMUL(256, 6, 1, 232)
