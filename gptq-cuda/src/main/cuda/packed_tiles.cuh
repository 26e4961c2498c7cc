// 4-bit weights as tensor cores want them. A tile is 16 outputs × 64 inputs: 4 words a lane, one for
// each step of 16 inputs. With g = lane / 4 and t = lane % 4, nibble p of the lower half of word
// `step` is the code of output g + 8·(p & 1) and input 16·step + 2t + 8·(p >> 1), nibble p of the
// upper half that of the next input: the four registers of a fragment of mma.cuh, so that a lane
// reads what it needs with one load of 16 bytes. Tiles of 16 outputs follow each other along the
// inputs.
//
// A nibble u on bits 1 … 4 of the bfloat16 64 makes 64 + u in steps of one half; 64 + z has a zero
// point of a half as well, and the difference u − z is exact.
#pragma once
#include "mma.cuh"

static const int TILE_OUT = 16;
static const int TILE_IN = 64;
static const int TILE_STEPS = TILE_IN / 16;
static const u32 BASE_PAIR = 0x42804280u;
static const u32 NIBBLE_MASK = 0x001e001eu;
static const u32 ONE_PAIR = 0x3f803f80u;
static const u32 MINUS_ZERO_PAIR = 0x80008000u;

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

  __device__ int chunks() const { return in / TILE_IN; }

  /** A lane's part of the tile of outputs 16·tile … and inputs 64·chunk … */
  __device__ const Words* words(int tile, int chunk, int lane) const {
    return tiles + ((long long)tile * chunks() + chunk) * 32 + lane;
  }

  /** The grids of inputs 64·chunk … of all outputs. */
  __device__ const u32* gridsOf(int chunk) const {
    return grids + (long long)(chunk * TILE_IN / groupSize) * out;
  }
};

/** Scale and zero point of one output in a group. */
struct TileGrid {
  float scale;
  u32 negatedZeroPair;

  __device__ explicit TileGrid(u32 bits) : scale(halfToFloat(u16(bits >> 16))) {
    u32 zero = (bits & 0xffffu) ^ 0x8000u;
    negatedZeroPair = zero | zero << 16;
  }
};

/** u − z in the four registers of a fragment: outputs g of grid `low`, outputs g + 8 of `high`. */
__device__ inline void expand(u32 word, const TileGrid& low, const TileGrid& high, u32* pairs) {
  u32 base[4] = {((word << 1) & NIBBLE_MASK) | BASE_PAIR, ((word >> 3) & NIBBLE_MASK) | BASE_PAIR,
                 ((word >> 7) & NIBBLE_MASK) | BASE_PAIR, ((word >> 11) & NIBBLE_MASK) | BASE_PAIR};
#pragma unroll
  for (int p = 0; p < 4; p++) {
    const TileGrid& grid = p & 1 ? high : low;
    pairs[p] = multiplyAddPairs(base[p], ONE_PAIR, grid.negatedZeroPair);
  }
}

/** The input, counted from the tile's first, of nibble p of the lower half of a lane's word. */
__device__ inline int inputOf(int step, int t, int p) { return 16 * step + 2 * t + 8 * (p >> 1); }
