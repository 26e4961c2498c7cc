// 4-bit weights as tensor cores want them. A tile is 16 outputs × 64 inputs: 4 words a lane, one for
// each step of 16 inputs. With g = lane / 4 and t = lane % 4, nibble p of the lower half of word
// `step` is the code of output g + 8·(p & 1) and input 16·step + 2t + 8·(p >> 1), nibble p of the
// upper half that of the next input: the four registers of a fragment of mma.cuh, so that a lane
// reads what it needs with one load of 16 bytes. Tiles of 16 outputs follow each other along the
// inputs.
#pragma once
#include "mma.cuh"

static const int TILE_OUT = 16;
static const int TILE_IN = 64;
static const int TILE_STEPS = TILE_IN / 16;

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

#ifndef GPTQ_HOST_SHIM
/** A constant in a register: an instruction takes but one immediate operand. */
__device__ inline u32 pinned(u32 value) {
  u32 pin;
  asm volatile("mov.u32 %0, %1;" : "=r"(pin) : "r"(value));
  return pin;
}

/** (word & mask) | base in one instruction. */
__device__ inline u32 place(u32 word, u32 mask, u32 base) {
  u32 placed;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(placed) : "r"(word), "r"(mask), "r"(base));
  return placed;
}
#endif

/** The input, counted from the tile's first, of nibble p of the lower half of a lane's word. */
__device__ inline int inputOf(int step, int t, int p) { return 16 * step + 2 * t + 8 * (p >> 1); }
