// Divisions by a number that is known before what it divides, rounded as IEEE division is.
#pragma once
#include "common.cuh"

/**
 * A divisor d and y = 1/d to nearest. Of a quotient q within two units in the last place a step
 * q + (a − d·q)·y is within one, and a second one is the quotient to nearest (Markstein, IBM J. Res.
 * Dev. 1990), as long as no remainder is too small for a normal number and nothing overflows.
 */
struct Divisor {
  float value;

  /** 0 where d is too small or too large. */
  float reciprocal;

  Divisor() = default;

  __device__ explicit Divisor(float d) : value(d) {
    float m = fabsf(d);
    bool fits = m >= 9.094947017729282e-13f && m <= 1.099511627776e12f;
    reciprocal = fits ? __fdiv_rn(1.0f, d) : 0.0f;
  }

  __device__ Divisor(float d, float y) : value(d), reciprocal(y) {}

  /** Whether steps has the quotient of a to nearest. */
  __device__ bool suits(float a) const {
    float m = fabsf(a);
    return m >= 8.673617379884035e-19f && m <= 1.152921504606847e18f && reciprocal != 0;
  }

  /** a / d from a first guess of it. */
  __device__ float steps(float a, float q) const {
    q = __fmaf_rn(__fmaf_rn(-value, q, a), reciprocal, q);
    return __fmaf_rn(__fmaf_rn(-value, q, a), reciprocal, q);
  }

  /** a / d where it suits. */
  __device__ float steps(float a) const { return steps(a, __fmul_rn(a, reciprocal)); }

  /** a / d, for any a. */
  __device__ float divide(float a) const {
    float q = steps(a);
    if (!suits(a)) {
      q = __fdiv_rn(a, value);
    }
    return q;
  }
};

/** rint(x) of magnitudes up to 2^22, and what is as far from all codes of larger ones. */
__device__ inline float nearestInteger(float x) {
  return __fsub_rn(__fadd_rn(x, 12582912.0f), 12582912.0f);
}

/** x/d, of which only the nearest integer is looked at, and of large ones the sign. */
__device__ inline float quotientForCode(const Divisor& d, float x) {
  float guess = __fmul_rn(x, d.reciprocal);
  float exact = d.steps(x, guess);
  return fabsf(guess) < 1048576.0f ? exact : guess;
}
