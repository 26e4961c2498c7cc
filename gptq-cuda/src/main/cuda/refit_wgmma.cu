// The normal equations of refits on Hopper's tensor cores: for 256 rows and one group g the products
// P = T_g·H, 64 columns at a time, each reduced at once to its sums with the steps (A_gh) and the
// difference (b_g), so that no product is ever written.
//
// Steps are whole or half numbers that float16 holds, and H is in halves. T_g stays in registers; tiles of H pass through a ring in shared
// memory that one thread fills ahead. Two teams of four warps, of 128 rows each, read every tile, and
// one sums while the other multiplies.
#include "bulk_copy.cuh"
#include "halves.cuh"
#include "wgmma.cuh"

static const int WIDE_TEAMS = 2;
static const int WIDE_WARPS = 4 * WIDE_TEAMS;
static const int WIDE_THREADS = 32 * WIDE_WARPS;
static const int WIDE_COPY_THREADS = 128;
static const int WIDE_ROWS = 128 * WIDE_TEAMS;
static const int WIDE_COLUMNS = 64;
static const int WIDE_STAGES = 6;
static const int HALVES = 2;
/** Inputs of a box: a row of 128 bytes. */
static const int BOX_INPUTS = 64;
/**
 * Halves of H[j][i], the smaller first, for the columns i of some groups. Row j goes where a thread
 * of the product meets four neighbours of it one after the other: with j = 16q + 4t + 2b + e to 16q +
 * 8b + 2t + e.
 */
extern "C" __global__ void splitSystem(Matrix h, const HalvesScales* scales, u16* halves) {
  long long step = (long long)h.rows * h.columns;
  int exponent = scales->exponents[0];
  forEachElement(h, [&](long long j, long long i) {
    long long row = (j & ~15) + 8 * ((j >> 1) & 1) + 2 * ((j & 15) >> 2) + (j & 1);
    Halves of = inHalves(timesPower(h.at<float>(j, i), exponent));
    u16* at = halves + row * h.columns + i;
    at[0] = of.small;
    at[step] = of.large;
  });
}

/** Rows of H's halves as the copy engine knows them. */
struct SystemBoxes {
  BoxMap halves;
};

template <int RUN>
struct alignas(1024) SystemTile {
  u16 inputs[HALVES][RUN / BOX_INPUTS][WIDE_COLUMNS * BOX_INPUTS];
};

/** Places for tiles, and the barriers that say when each is filled and emptied. */
template <int RUN>
struct SystemRing {
  SystemTile<RUN> tiles[WIDE_STAGES];
  PhaseBarrier filled[WIDE_STAGES];
  PhaseBarrier emptied[WIDE_STAGES];

  __device__ void init() {
    for (int s = 0; s < WIDE_STAGES; s++) {
      filled[s].init(1);
      emptied[s].init(WIDE_WARPS);
    }
    PhaseBarrier::publish();
  }

  __device__ void fill(int s, const BoxMap& halves, int n, int column, int group) {
    filled[s].arriveExpecting(int(sizeof(SystemTile<RUN>)));
    for (int half = 0; half < HALVES; half++) {
      for (int box = 0; box < RUN / BOX_INPUTS; box++) {
        startBoxCopy(tiles[s].inputs[half][box], halves, group * RUN + box * BOX_INPUTS,
                     half * n + column, filled[s]);
      }
    }
  }
};

/** A place of the ring and the phase of its barriers. */
struct RingPlace {
  int slot = 0;
  int phase = 0;

  __device__ void advance() {
    if (++slot == WIDE_STAGES) {
      slot = 0;
      phase ^= 1;
    }
  }
};

struct alignas(16) FloatQuad {
  float v[4];
};

struct alignas(8) HalfQuad {
  u16 v[4];
};

/** Sums of the four lanes that have parts of a row. */
__device__ inline float sumOfLanes(float value) {
  value += __shfl_xor_sync(~0u, value, 1);
  return value + __shfl_xor_sync(~0u, value, 2);
}

/** The four rows of a thread, 8 apart in two tiles of 64 rows; those beyond the last are the last. */
template <int RUN>
struct SystemRows {
  const Matrix& steps;
  const Matrix& difference;
  int first;
  float ofDifference[4] = {0, 0, 0, 0};
  float ofSteps[4] = {0, 0, 0, 0};

  __device__ SystemRows(const Matrix& steps, const Matrix& difference, int first)
      : steps(steps), difference(difference), first(first) {}

  __device__ int row(int r) const { return first + 64 * (r >> 1) + 8 * (r & 1); }

  __device__ int readable(int r) const {
    int last = steps.rows - 1;
    return row(r) < last ? row(r) : last;
  }

  /** Fragments of T_g of two tiles of 64 rows. */
  __device__ void read(int group, int t, u32 (*a)[RUN / 16][4]) const {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const u16* at = steps.row<u16>(readable(r)) + group * RUN + 2 * t;
#pragma unroll
      for (int k = 0; k < RUN / 16; k++) {
        a[r >> 1][k][r & 1] = *reinterpret_cast<const u32*>(at + 16 * k);
        a[r >> 1][k][2 + (r & 1)] = *reinterpret_cast<const u32*>(at + 16 * k + 8);
      }
    }
  }

  /** Adds the sums of 64 columns of the product with the difference and, if `below`, the steps. */
  __device__ void reduce(const float (*products)[WIDE_COLUMNS / 2], int column, int t, bool below) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const float* d = difference.row<float>(readable(r)) + column + 4 * t;
      const u16* s = steps.row<u16>(readable(r)) + column + 4 * t;
      const float* p = products[r >> 1] + 2 * (r & 1);
#pragma unroll
      for (int q = 0; q < WIDE_COLUMNS / 16; q++) {
        FloatQuad differences = *reinterpret_cast<const FloatQuad*>(d + 16 * q);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          ofDifference[r] =
              fmaf(p[8 * q + 4 * (i >> 1) + (i & 1)], differences.v[i], ofDifference[r]);
        }
        if (below) {
          HalfQuad others = *reinterpret_cast<const HalfQuad*>(s + 16 * q);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            ofSteps[r] =
                fmaf(p[8 * q + 4 * (i >> 1) + (i & 1)], halfToFloat(others.v[i]), ofSteps[r]);
          }
        }
      }
    }
  }

  /** Writes sums of rows as column `column` of a side of the system, and begins anew. */
  __device__ void store(float* sums, float unscale, int t, const Matrix& side, long long column) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
      float sum = sumOfLanes(sums[r]);
      sums[r] = 0;
      if (t == 0 && row(r) < steps.rows) {
        side.at<float>(row(r), column) = sum * unscale;
      }
    }
  }
};

/**
 * Steps are float16 and differences float32, both with contiguous rows; blockIdx.y counts groups from
 * `first`, whose columns are those of the halves.
 */
template <int RUN>
__device__ inline void wideSystemOf(const SystemBoxes& boxes, const Matrix& steps,
                                    const Matrix& difference, const HalvesScales* scales, int first,
                                    const Matrix& normal, const Matrix& gradient) {
  using RingOf = SystemRing<RUN>;
  DYNAMIC_SHARED(RingOf, shared);
  RingOf& ring = *shared;
  int n = steps.columns;
  if (threadIdx.x == 0) {
    ring.init();
  }
  __syncthreads();
  if (threadIdx.x >= WIDE_THREADS) {
    leaveRegisters<24>();
    if (threadIdx.x == WIDE_THREADS) {
      RingPlace place;
      for (int column = 0; column < n; column += WIDE_COLUMNS, place.advance()) {
        ring.emptied[place.slot].await(place.phase ^ 1);
        ring.fill(place.slot, boxes.halves, n, column, blockIdx.y);
      }
    }
    return;
  }
  takeRegisters<240>();
  int lane = threadIdx.x & 31;
  int t = lane & 3;
  int team = threadIdx.x / 128;
  int warp = threadIdx.x / 32 % 4;
  int group = first + blockIdx.y;
  SystemRows<RUN> rows(steps, difference,
                       blockIdx.x * WIDE_ROWS + 128 * team + 16 * warp + (lane >> 2));
  u32 a[2][RUN / 16][4];
  rows.read(group, t, a);
  float unscale = scales->alpha;
  RingPlace place;
  for (int column = 0; column < n; column += WIDE_COLUMNS, place.advance()) {
    float products[2][WIDE_COLUMNS / 2];
#pragma unroll
    for (int i = 0; i < WIDE_COLUMNS; i++) {
      (&products[0][0])[i] = 0;
    }
    ring.filled[place.slot].await(place.phase);
    beginProducts();
#pragma unroll
    for (int half = 0; half < HALVES; half++) {
#pragma unroll
      for (int k = 0; k < RUN / 16; k++) {
        const u16* inputs = ring.tiles[place.slot].inputs[half][k / 4];
        startHalfProduct(products[0], a[0][k], inputs, k % 4);
        startHalfProduct(products[1], a[1][k], inputs, k % 4);
      }
    }
    endProducts();
    awaitProducts<0>();
    if (lane == 0) {
      ring.emptied[place.slot].arrive();
    }
    int other = column / RUN;
    rows.reduce(products, column, t, other <= group);
    if (other <= group && (column + WIDE_COLUMNS) % RUN == 0) {
      rows.store(rows.ofSteps, unscale, t, normal, (long long)group * (group + 1) / 2 + other);
    }
  }
  rows.store(rows.ofDifference, unscale, t, gradient, group);
}

#define WIDE_SYSTEM(run)                                                                     \
  extern "C" __global__ void __launch_bounds__(WIDE_THREADS + WIDE_COPY_THREADS, 1)          \
      wideSystem_##run(const GRID_CONSTANT SystemBoxes boxes, Matrix steps, Matrix difference, \
                       const HalvesScales* scales, int first, Matrix normal, Matrix gradient) { \
    wideSystemOf<run>(boxes, steps, difference, scales, first, normal, gradient);            \
  }
WIDE_SYSTEM(64)
WIDE_SYSTEM(128)
