// Weights of 2 to 8 bits as tensor cores want them. A tile is 16 outputs × 64 inputs: 32 codes a
// lane, which fill BITS words. With g = lane / 4 and t = lane % 4, register 4·step + p of a lane is
// the pair of codes of output g + 8·(p & 1) and inputs 16·step + 2t + 8·(p >> 1) and the next: the
// registers of a fragment of mma.cuh for each step of 16 inputs. The first code of a pair lies in the
// lower halves of the words, the other in the same places of the upper halves:
//
//   halves of a word hold FIELDS codes from bit 0 on; pair r is field r % FIELDS of word r / FIELDS;
//   bits that are left over make a stream, from word to word, for the pairs that are left over.
//
// Codes of 8 bits lie there less 128, in two's complement. The words of a tile's lanes lie in blocks
// of four, two and one word a lane, so that each is read at once by all. Tiles of 16 outputs follow
// each other along the inputs.
#pragma once
#include "mma.cuh"

static const int TILE_OUT = 16;
static const int TILE_IN = 64;
static const int TILE_STEPS = TILE_IN / 16;

struct alignas(16) Words {
  u32 v[4];
};

/** Two words that are loaded or stored at once. */
struct alignas(8) Pairs {
  u32 v[2];
};

/**
 * Packed weights in tiles. grids[group · out + o]: scale as binary16, then the zero point as
 * TileGrid has it.
 */
struct Tiled {
  const u8* tiles;
  const u32* grids;
  int out;
  int in;
  int groupSize;
  int reserved;

  __device__ int chunks() const { return in / TILE_IN; }

  /** The tile of outputs 16·tile … and inputs 64·chunk … */
  template <int BITS>
  __device__ const u8* tileOf(int tile, int chunk) const {
    return tiles + ((long long)tile * chunks() + chunk) * (TILE_OUT * TILE_IN * BITS / 8);
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

/** The input, counted from the tile's first, of the first code of pair 4·step + p. */
__device__ inline int inputOf(int step, int t, int p) { return 16 * step + 2 * t + 8 * (p >> 1); }

/** The same number in both halves of a word. */
__device__ constexpr u32 twice(u32 half) { return half << 16 | half; }

/** A lane's words of a tile. */
template <int BITS>
struct TileWords {
  static const int COUNT = TILE_OUT * TILE_IN * BITS / 32;

  u32 v[BITS];

  /** Where a lane's word stands in the tile. */
  __device__ static int placeOf(int lane, int word) {
    int size = word < (BITS & ~3) ? 4 : word < (BITS & ~1) ? 2 : 1;
    int block = word / size * size;
    return 32 * block + size * lane + word - block;
  }

  __device__ void load(const u32* tile, int lane) {
#pragma unroll
    for (int four = 0; four < BITS / 4; four++) {
      Words part = *reinterpret_cast<const Words*>(tile + placeOf(lane, 4 * four));
      v[4 * four] = part.v[0];
      v[4 * four + 1] = part.v[1];
      v[4 * four + 2] = part.v[2];
      v[4 * four + 3] = part.v[3];
    }
    if constexpr ((BITS & 2) != 0) {
      Pairs part = *reinterpret_cast<const Pairs*>(tile + placeOf(lane, BITS & ~3));
      v[BITS & ~3] = part.v[0];
      v[(BITS & ~3) + 1] = part.v[1];
    }
    if constexpr ((BITS & 1) != 0) {
      v[BITS - 1] = tile[placeOf(lane, BITS - 1)];
    }
  }
};

/** Where the codes of a lane's pair r lie in the halves of its words. */
template <int BITS>
struct PairPlace {
  static const int FIELDS = 16 / BITS;
  static const int SPARE = 16 - FIELDS * BITS;
  /** Pairs that lie in one word; the first bit that is left over is of the same number. */
  static const int WHOLE = FIELDS * BITS;

  /** Which of the bits that are left over is bit i of the pair's codes. */
  __device__ static constexpr int spare(int r, int i) { return (r - WHOLE) * BITS + i; }

  /** The word of bit i of the pair's codes. */
  __device__ static constexpr int wordOf(int r, int i) {
    return r < WHOLE ? r / FIELDS : spare(r, i) / (SPARE ? SPARE : 1);
  }

  /** That bit's place in the halves of the word. */
  __device__ static constexpr int bitOf(int r, int i) {
    return r < WHOLE ? r % FIELDS * BITS + i : WHOLE + spare(r, i) % (SPARE ? SPARE : 1);
  }

  /** Bits of the pair's codes from bit i on that follow each other in the word. */
  __device__ static constexpr int bitsFrom(int r, int i) {
    int toWord = r < WHOLE ? BITS - i : SPARE - spare(r, i) % (SPARE ? SPARE : 1);
    return toWord < BITS - i ? toWord : BITS - i;
  }
};

/**
 * Codes as pairs of bfloat16. A code u of up to 7 bits, put on bits q … of the bfloat16 2⁷⁻q, makes
 * 2⁷⁻q + u: base + u, of which those of 2 and 3 bits have several bases, so that fields side by side
 * need one shift. A code of 8 bits makes 128 + its lower bits, from which 128 or 256 is taken: the base
 * is −128. Pairs are template parameters: loops over them take the compiler minutes.
 */
template <int BITS>
struct CodeReader {
  typedef PairPlace<BITS> Place;
  /** Fields that are read after one shift. */
  static const int AT_ONCE = BITS == 8 ? 1 : 7 / BITS;
  static const bool ONE_BASE = AT_ONCE == 1;

  /** Of one code, less the highest bit of 8. */
  static const u32 MASK = BITS == 8 ? 0x7fu : (1u << BITS) - 1;

  // In registers, or the compiler takes two instructions for a mask and a base.
  u32 base[AT_ONCE];
  u32 signBase;

  __device__ CodeReader() {
#pragma unroll
    for (int k = 0; k < AT_ONCE; k++) {
      base[k] = pinned(twice(0x4300 - (k * BITS << 7)));
    }
    if constexpr (BITS == 8) {
      signBase = pinned(0xc300c300u);
    }
  }

  /** Which of the bases pair r has. */
  __device__ static constexpr int baseOf(int r) {
    return r < Place::WHOLE ? r % Place::FIELDS % AT_ONCE : 0;
  }

  /** base + u of pairs 4·STEP …, a fragment of A. */
  template <int STEP>
  __device__ void fragment(const TileWords<BITS>& words, u32* a) const {
    a[0] = pair<4 * STEP>(words);
    a[1] = pair<4 * STEP + 1>(words);
    a[2] = pair<4 * STEP + 2>(words);
    a[3] = pair<4 * STEP + 3>(words);
  }

  template <int R>
  __device__ u32 pair(const TileWords<BITS>& words) const {
    if constexpr (R >= Place::WHOLE) {
      return gathered<R, 0>(words, base[0]);
    } else {
      const int k = baseOf(R);
      u32 word = words.v[Place::wordOf(R, 0)] >> (Place::bitOf(R, 0) - k * BITS);
      u32 low = (word & twice(MASK << k * BITS)) | base[k];
      if constexpr (BITS == 8) {
        return multiplyAddPairs(low, 0x3f803f80u, (word & 0x00800080u) | signBase);
      } else {
        return low;
      }
    }
  }

  /** A pair that lies in several words, from bit I on. */
  template <int R, int I>
  __device__ static u32 gathered(const TileWords<BITS>& words, u32 lower) {
    if constexpr (I == BITS) {
      return lower;
    } else {
      const int count = Place::bitsFrom(R, I);
      u32 bits = words.v[Place::wordOf(R, I)] >> (Place::bitOf(R, I) - I);
      return gathered<R, I + count>(words, (bits & twice(((1 << count) - 1) << I)) | lower);
    }
  }
};

/** What a base is worth. */
template <int BITS>
__device__ inline float valueOfBase(int k) {
  return BITS == 8 ? -128.0f : float(128 >> k * BITS);
}

/**
 * Zero points beside the scales: 64 + z as bfloat16 for 4 bits; else −z as binary16, less the base if
 * there is one.
 */
template <int BITS>
struct TileGrid {
  __device__ static u16 encode(float zero) {
    if (BITS == 4) {
      return floatToBfloat(64.0f + zero);
    }
    return floatToHalf(CodeReader<BITS>::ONE_BASE ? -zero - valueOfBase<BITS>(0) : -zero);
  }

  /** −z − base, or −z where there are several bases. */
  __device__ static float shift(u32 grid) {
    return BITS == 4 ? -64.0f - bfloatToFloat(u16(grid)) : halfToFloat(u16(grid));
  }

  __device__ static float scale(u32 grid) { return halfToFloat(u16(grid >> 16)); }
};
