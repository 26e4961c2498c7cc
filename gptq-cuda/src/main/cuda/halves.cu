// Largest elements of matrices, the powers of two that follow from them, and halves of matrices.
#pragma once
#include "halves.cuh"

/** HALVES_RUN of HalvesScales. */
static const int HALVES_RUN = 4096;

/**
 * The largest |x| that is finite, as bits, of each block's runs of columns of A, and behind those of B
 * (blockIdx.y = 1), both with contiguous rows.
 */
extern "C" __global__ void largestMagnitudes(Matrix a, Matrix b, u32* partial) {
  // A reference to either would take memory of each thread.
  bool first = blockIdx.y == 0;
  Matrix x{first ? a.data : b.data,
           first ? a.rowStride : b.rowStride,
           1,
           first ? a.rows : b.rows,
           first ? a.columns : b.columns,
           F32,
           0};
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
    partial[blockIdx.y * gridDim.x + blockIdx.x] = largest;
  }
}

/** That of the largest of some magnitudes, by a block. */
__device__ inline int halvesExponent(const u32* partial, int count) {
  u32 largest = 0;
  for (int i = threadIdx.x; i < count; i += ELEMENT_THREADS) {
    largest = partial[i] > largest ? partial[i] : largest;
  }
  return halvesExponent(reduceBlock(largest, 0u, Max()));
}

/** The scales of α·A·B + β·C, of whose factors the largest magnitudes of so many parts are given. */
extern "C" __global__ void halvesScales(const u32* partial, int count, float alpha, float beta,
                                        HalvesScales* scales) {
  int a = halvesExponent(partial, count);
  int b = halvesExponent(partial + count, count);
  if (threadIdx.x == 0) {
    int excess = a + b > HALVES_MOST ? a + b - HALVES_MOST : 0;
    a -= excess / 2;
    b -= excess - excess / 2;
    *scales = {timesPower(alpha, -(a + b)), beta, 1.0f, {a, b}};
  }
}

/** The scales of a matrix alone, of whose largest magnitudes so many parts are given. */
extern "C" __global__ void matrixScales(const u32* partial, int count, HalvesScales* scales) {
  int exponent = halvesExponent(partial, count);
  if (threadIdx.x == 0) {
    exponent = exponent < HALVES_MOST ? exponent : HALVES_MOST;
    *scales = {timesPower(1, -exponent), 0.0f, 1.0f, {exponent, 0}};
  }
}

/**
 * The halves of element (r, c) of a matrix with contiguous rows go to r·stride + c and, a step further,
 * the smaller one behind the larger one or before it. They are those of the element times 2^power.
 */
extern "C" __global__ void splitHalves(Matrix src, u16* halves, long long stride, long long step,
                                       const HalvesScales* scales, int factor, int power) {
  int exponent = scales->exponents[factor] + power;
  forEachElement(src, [&](long long r, long long c) {
    Halves of = inHalves(timesPower(src.at<float>(r, c), exponent));
    u16* at = halves + r * stride + c;
    at[factor * step] = of.large;
    at[(1 - factor) * step] = of.small;
  });
}
