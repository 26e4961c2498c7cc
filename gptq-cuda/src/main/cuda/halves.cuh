// A float32 as the sum of two binary16 of 11 significant bits each. Numbers are multiplied by a power of
// two first, which brings the largest finite one of their matrix into [2^14, 2^15): down to 2^-16 of it
// the sum has 22 to 24 bits, and the error of less is below 2^-39 of the largest.
#pragma once
#include "elementwise.cuh"

/** Binary exponent of what the largest number becomes. */
static const int HALVES_EXPONENT = 14;

/**
 * The most that both factors' exponents may add up to, so that what undoes them is a normal number.
 * Products that small are below the least normal number.
 */
static const int HALVES_MOST = 120;

/** The sum of both is a number. */
struct Halves {
  u16 large;
  u16 small;
};

/** What is not finite has no smaller one. */
__device__ inline Halves inHalves(float value) {
  u16 large = floatToHalf(value);
  bool finite = (large & 0x7c00) != 0x7c00;
  return {large, finite ? floatToHalf(value - halfToFloat(large)) : u16(0)};
}

/** What the powers of two of a product's factors are, or of a matrix alone, and what undoes them. */
struct HalvesScales {
  float alpha;
  float beta;
  float one;
  int exponents[2];
};

/** x·2^exponent for exponents from -252 to 254. */
__device__ inline float timesPower(float x, int exponent) {
  int half = exponent / 2;
  return x * __uint_as_float(u32(half + 127) << 23) *
         __uint_as_float(u32(exponent - half + 127) << 23);
}

/** The exponent that brings a magnitude, given as bits, to HALVES_EXPONENT; 0 of zero. */
__device__ inline int halvesExponent(u32 magnitude) {
  return magnitude == 0 ? 0 : HALVES_EXPONENT + 127 - int(magnitude >> 23);
}
