// Codes, values and the fitting of grids: dev.gptq.grid.Grid, Scheme and ErrorNorm, operation by
// operation. Every rounding is spelled out; the module is compiled without contraction.
#pragma once
#include "divisor.cuh"

/** A dev.gptq.grid.GridSpec. */
struct GridSpec {
  int minCode;
  int maxCode;
  int levels;
  int midRise;
  int hasZeroPoint;
  int scaleType;
  float fixedZero;
  int scaleBits;
  float largestScale;
  int leastZero;
};

/** A scale and a zero point. */
struct Fit {
  float scale;
  float zero;
};

/** clamp(v, minCode, maxCode), truncated; 0 for NaN. */
__device__ inline int clampCode(float v, const GridSpec& spec) {
  if (v != v) {
    return 0;
  }
  float least = float(spec.minCode);
  float most = float(spec.maxCode);
  return int(v < least ? least : v > most ? most : v);
}

/** u = clamp(round(w / s) + z, minCode, maxCode), truncated; 0 for NaN. */
__device__ inline int codeOf(float w, float scale, float zero, const GridSpec& spec) {
  float t = __fdiv_rn(w, scale);
  float rounded = spec.midRise ? __fadd_rn(floorf(t), 0.5f) : rintf(t);
  return clampCode(__fadd_rn(rounded, zero), spec);
}

/** codeOf as a number, of a weight that was divided by its scale. */
__device__ inline float codeNumber(float t, float zero, const GridSpec& spec) {
  float rounded = spec.midRise ? __fadd_rn(floorf(t), 0.5f) : rintf(t);
  float v = __fadd_rn(rounded, zero);
  float least = float(spec.minCode);
  float most = float(spec.maxCode);
  return v != v ? 0.0f : truncf(v < least ? least : v > most ? most : v);
}

/** q = s · (u − z). */
__device__ inline float valueOf(int code, float scale, float zero) {
  return __fmul_rn(scale, __fsub_rn(float(code), zero));
}

/** Rounded to so many significant bits, to nearest, ties to even. */
__device__ inline float significant(float x, int significantBits) {
  int drop = 24 - significantBits;
  if (drop == 0) {
    return x;
  }
  u32 bits = __float_as_uint(x);
  u32 odd = (bits >> drop) & 1;
  return __uint_as_float((bits + (1u << (drop - 1)) - 1 + odd) & (0xffffffffu << drop));
}

/** The scale as it will be stored: F32, F16 (its magnitude clamped to the positive range) or BF16. */
__device__ inline float roundScale(float scale, const GridSpec& spec) {
  switch (spec.scaleType) {
    case F32:
      return significant(scale, spec.scaleBits);
    case F16: {
      float least = 5.9604644775390625e-8f;
      float most = spec.largestScale;
      float magnitude = fabsf(scale);
      magnitude = magnitude < least ? least : magnitude > most ? most : magnitude;
      u32 sign = __float_as_uint(scale) & 0x80000000u;
      float clamped = __uint_as_float(__float_as_uint(magnitude) | sign);
      return halfToFloat(floatToHalf(significant(clamped, spec.scaleBits)));
    }
    default:
      return significant(significant(scale, spec.scaleBits), 8);
  }
}

/** s = R(step), z = fixed or clamp(rint(−lo / s) + zeroShift, leastZero, maxCode). */
__device__ inline Fit fitRange(float lo, float hi, int zeroShift, const GridSpec& spec) {
  Fit fit;
  float step = __fdiv_rn(__fsub_rn(hi, lo), float(spec.levels));
  if (spec.leastZero > 0) {
    float above = __fdiv_rn(hi, float(spec.levels - spec.leastZero));
    step = step < above ? above : step;
  }
  fit.scale = roundScale(step, spec);
  if (spec.hasZeroPoint) {
    float z = __fadd_rn(rintf(__fdiv_rn(-lo, fit.scale)), float(zeroShift));
    float least = float(spec.leastZero);
    float most = float(spec.maxCode);
    // +0, not −0, at the lower end; a NaN stays one.
    fit.zero = z > most ? most : z <= least ? least : z;
  } else {
    fit.zero = spec.fixedZero;
  }
  return fit;
}

/** |x|^2.4 by the steps of dev.gptq.grid.ErrorNorm. */
__device__ inline float errorNorm(float x) {
  float a = fabsf(x);
  if (a < 9.094947017729282e-13f) {
    return 0.0f;
  }
  int bits = int(__float_as_uint(a));
  float k = float((bits >> 23) - 127);
  float f = __fsub_rn(__uint_as_float(u32((bits & 0x7fffff) | 0x3f800000)), 1.0f);
  float p = 0.0075791376f;
  p = __fmaf_rn(p, f, -0.042687193f);
  p = __fmaf_rn(p, f, 0.11305199f);
  p = __fmaf_rn(p, f, -0.19728522f);
  p = __fmaf_rn(p, f, 0.27571967f);
  p = __fmaf_rn(p, f, -0.35842848f);
  p = __fmaf_rn(p, f, 0.4806955f);
  p = __fmaf_rn(p, f, -0.72134036f);
  p = __fmaf_rn(p, f, 1.442695f);
  float y = __fmul_rn(2.4f, __fmaf_rn(f, p, k));
  float n = rintf(y);
  float g = __fsub_rn(y, n);
  float q = 0.00015469732f;
  q = __fmaf_rn(q, g, 0.0013400433f);
  q = __fmaf_rn(q, g, 0.009618025f);
  q = __fmaf_rn(q, g, 0.05550327f);
  q = __fmaf_rn(q, g, 0.2402265f);
  q = __fmaf_rn(q, g, 0.6931472f);
  q = __fmaf_rn(q, g, 1.0f);
  return __uint_as_float(__float_as_uint(q) + (u32(int(n)) << 23));
}
