// A float32 as the sum of two binary16 of 11 significant bits each. Numbers are multiplied by a power of
// two first, which brings the largest finite one of their matrix into [2^14, 2^15): down to 2^-16 of it
// the sum has 22 to 24 bits, and the error of less is below 2^-39 of the largest.
#include "elementwise.cuh"

/** Binary exponent of what the largest number becomes. */
static const int HALVES_EXPONENT = 14;

/**
 * The most that both factors' exponents may add up to, so that what undoes them is a normal number.
 * Products that small are below the least normal number.
 */
static const int HALVES_MOST = 120;

/** HALVES_RUN of HalvesScales. */
static const int HALVES_RUN = 4096;

/** What the powers of two of a product's factors are, and what undoes them. */
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

/**
 * The largest |x| that is finite, as bits, of each block's runs of columns of a matrix with contiguous
 * rows.
 */
extern "C" __global__ void largestMagnitudes(Matrix x, u32* partial) {
  int runs = (x.columns + HALVES_RUN - 1) / HALVES_RUN;
  long long items = (long long)x.rows * runs;
  u32 largest = 0;
  for (long long item = blockIdx.x; item < items; item += gridDim.x) {
    const u32* row = x.row<u32>(item / runs);
    int from = int(item % runs) * HALVES_RUN;
    int to = x.columns - from < HALVES_RUN ? x.columns : from + HALVES_RUN;
#pragma unroll 8
    for (int c = from + threadIdx.x; c < to; c += ELEMENT_THREADS) {
      u32 bits = row[c] & 0x7fffffffu;
      largest = bits < 0x7f800000u && bits > largest ? bits : largest;
    }
  }
  largest = reduceBlock(largest, 0u, Max());
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = largest;
  }
}

/** The exponent that brings the largest of a block's numbers to HALVES_EXPONENT; 0 of zeros. */
__device__ inline int halvesExponent(const u32* partial, int count) {
  u32 largest = 0;
  for (int i = threadIdx.x; i < count; i += ELEMENT_THREADS) {
    largest = partial[i] > largest ? partial[i] : largest;
  }
  largest = reduceBlock(largest, 0u, Max());
  return largest == 0 ? 0 : HALVES_EXPONENT + 127 - int(largest >> 23);
}

/** The scales of α·A·B + β·C, of whose factors the largest magnitudes of parts are given. */
extern "C" __global__ void halvesScales(const u32* ofA, int countA, const u32* ofB, int countB,
                                        float alpha, float beta, HalvesScales* scales) {
  int a = halvesExponent(ofA, countA);
  int b = halvesExponent(ofB, countB);
  if (threadIdx.x == 0) {
    int excess = a + b > HALVES_MOST ? a + b - HALVES_MOST : 0;
    a -= excess / 2;
    b -= excess - excess / 2;
    *scales = {timesPower(alpha, -(a + b)), beta, 1.0f, {a, b}};
  }
}

/**
 * The halves of element (r, c) of a matrix with contiguous rows go to r·stride + c and, a step further,
 * the smaller one behind the larger one or before it. What is not finite has no smaller one.
 */
extern "C" __global__ void splitHalves(Matrix src, u16* halves, long long stride, long long step,
                                       const HalvesScales* scales, int factor) {
  int exponent = scales->exponents[factor];
  forEachElement(src, [&](long long r, long long c) {
    float value = timesPower(src.at<float>(r, c), exponent);
    u16 large = floatToHalf(value);
    u16 small = (large & 0x7c00) == 0x7c00 ? u16(0) : floatToHalf(value - halfToFloat(large));
    u16* at = halves + r * stride + c;
    at[factor * step] = large;
    at[(1 - factor) * step] = small;
  });
}
