// The warp of quantizeBlock that goes from column to column.
#pragma once
#include "block_memory.cuh"

/** The warp that finds codes and errors, eight columns a step. Lanes are rows. */
struct Chain {
  /** Weights of the step's columns, and of the eight after them. */
  float now[STEP];
  float next[STEP];

  /** Of the step before. */
  float error[STEP];

  /** Of the step's columns. */
  float scale[STEP];
  float zero[STEP];
  float reciprocal[STEP];

  /** The first sixteen weights of a row. */
  __device__ void load(const Matrix& w, int row) {
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      bool live = row < w.rows;
      now[i] = live && i < w.columns ? w.at<float>(row, i) : 0.0f;
      next[i] = live && STEP + i < w.columns ? w.at<float>(row, STEP + i) : 0.0f;
    }
  }

  /** Factors of eight columns. */
  using Row = Pack<float, STEP>;

  /**
   * A step without branches. The columns after it get errors when there is time, two a column: in
   * the first half those of the step before, then its own.
   *
   * @param before factors of the errors of the step before
   * @return whether the lane's errors and codes are right; if not, nothing has been done
   */
  __device__ bool quantize(const BlockMemory& memory, const Divisor* pivots, const float* before,
                           int step, const GridSpec& spec) {
    int lane = threadIdx.x & 31;
    float least = float(spec.minCode);
    float most = float(spec.maxCode);
    const float* own = memory.factor(step * STEP, step * STEP);
    const float* after = memory.factor(step * STEP, afterStep(step));
    float* errors = memory.errors(step, lane);
    float* codes = memory.codes(step, lane);
    const float* scales = memory.scales(step + 1, lane);
    const float* zeros = memory.zeros(step + 1, lane);
    const float* reciprocals = memory.reciprocals(step + 1, lane);
    float w[STEP];
    float behind[STEP];
    float e[STEP];
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      w[i] = now[i];
      behind[i] = next[i];
    }
    bool right = true;
    Row factor = Row::at(own);
    Row first = Row::at(before);
    Row second = Row::at(before + BLOCK_COLUMNS);
    Divisor pivot = pivots[step * STEP];
#pragma unroll
    for (int j = 0; j < STEP; j++) {
      // What the next column needs is asked for before this one's results are stored.
      Row f = factor;
      Row a = first;
      Row b = second;
      Divisor p = pivot;
      if (j + 1 < STEP) {
        const int late = (2 * j + 2) % STEP;
        const float* from = (j + 1 < STEP / 2 ? before : after) + late * BLOCK_COLUMNS;
        factor = Row::at(own + (j + 1) * BLOCK_COLUMNS);
        first = Row::at(from);
        second = Row::at(from + BLOCK_COLUMNS);
        pivot = pivots[step * STEP + j + 1];
      }
      float s = scale[j];
      float z = zero[j];
      float y = reciprocal[j];
      scale[j] = scales[runColumn(j)];
      zero[j] = zeros[runColumn(j)];
      reciprocal[j] = reciprocals[runColumn(j)];

      float x = w[j];
      float quotient = stepOf(s, y, x, __fmul_rn(x, y));
      float level = fminf(fmaxf(nearestInteger(quotient), __fsub_rn(least, z)), __fsub_rn(most, z));
      float rest = __fsub_rn(x, __fmul_rn(s, level));
      e[j] = stepOf(p.value, p.reciprocal, rest, __fmul_rn(rest, p.reciprocal));
      // A second step confirms what the first one gave, or it is done again with divisions.
      right &= stepOf(s, y, x, quotient) == quotient;
      right &= stepOf(p.value, p.reciprocal, rest, e[j]) == e[j];
      right &= bool(int(fabsf(rest) >= 8.673617379884035e-19f) | int(__float_as_uint(rest) == 0));
#pragma unroll
      for (int k = j + 1; k < STEP; k++) {
        w[k] = __fmaf_rn(-e[j], f.v[k], w[k]);
      }
      const int late = 2 * j % STEP;
      float ea = j < STEP / 2 ? error[late] : e[late];
      float eb = j < STEP / 2 ? error[late + 1] : e[late + 1];
#pragma unroll
      for (int k = 0; k < STEP; k++) {
        behind[k] = __fmaf_rn(-eb, b.v[k], __fmaf_rn(-ea, a.v[k], behind[k]));
      }
      errors[runColumn(j)] = e[j];
      codes[runColumn(j)] = __fadd_rn(level, z);
    }
    if (anyOfWarp(!right)) {
      return false;
    }
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      error[i] = e[i];
      now[i] = behind[i];
    }
    return true;
  }

  /** a / d by one step from a guess. */
  __device__ static float stepOf(float d, float y, float a, float q) {
    return __fmaf_rn(__fmaf_rn(-d, q, a), y, q);
  }

  /** The first of the columns after a step; after the last one, those of the last one. */
  __device__ static int afterStep(int step) {
    int k = (step + 1) * STEP;
    return k < BLOCK_COLUMNS ? k : BLOCK_COLUMNS - STEP;
  }

  /** A step of any number of columns with any divisors, with all weights in shared memory. */
  __device__ void quantizeAny(const BlockMemory& memory, const Divisor* pivots, int step,
                              int columns, const GridSpec& spec) {
    int lane = threadIdx.x & 31;
    float* w = memory.errors(step, lane);
    float* codes = memory.codes(step, lane);
    float* behind = memory.handed(step - 1, lane);
    const float* before = memory.errors(step - 1, lane);
    int k0 = afterStep(step);
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      w[runColumn(i)] = now[i];
      behind[runColumn(i)] = next[i];
    }
    for (int j = 0; j < STEP && step > 0; j++) {
      take(behind, 0, before[runColumn(j)], memory.factor((step - 1) * STEP + j, k0));
    }
    for (int j = 0; j < STEP && j < columns; j++) {
      int column = step * STEP + j;
      float x = w[runColumn(j)];
      float s = memory.scales(step, lane)[runColumn(j)];
      float z = memory.zeros(step, lane)[runColumn(j)];
      float code = codeNumber(__fdiv_rn(x, s), z, spec);
      float rest = __fsub_rn(x, __fmul_rn(s, __fsub_rn(code, z)));
      float e = __fdiv_rn(rest, pivots[column].value);
      take(w, j + 1, e, memory.factor(column, step * STEP));
      take(behind, 0, e, memory.factor(column, k0));
      w[runColumn(j)] = e;
      codes[runColumn(j)] = code;
    }
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      error[i] = w[runColumn(i)];
      now[i] = behind[runColumn(i)];
      scale[i] = memory.scales(step + 1, lane)[runColumn(i)];
      zero[i] = memory.zeros(step + 1, lane)[runColumn(i)];
      reciprocal[i] = memory.reciprocals(step + 1, lane)[runColumn(i)];
    }
  }

  /** w ← fma(−e, factor, w) of columns of a run from one on. */
  __device__ static void take(float* run, int from, float e, const float* factor) {
    for (int k = from; k < STEP; k++) {
      run[runColumn(k)] = __fmaf_rn(-e, factor[k], run[runColumn(k)]);
    }
  }

  /** All steps: a barrier when the first grids are known, and one after each step. */
  __device__ void walk(const BlockMemory& memory, const Divisor* pivots, int columns,
                       const GridSpec& spec) {
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      error[i] = 0.0f;
      scale[i] = memory.scales(0, lane)[runColumn(i)];
      zero[i] = memory.zeros(0, lane)[runColumn(i)];
      reciprocal[i] = memory.reciprocals(0, lane)[runColumn(i)];
    }
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step * STEP < columns; step++) {
      int left = columns - step * STEP;
      // An error +0 with positive factors leaves all weights as they are, −0 among them.
      const float* before =
          step > 0 ? memory.factor((step - 1) * STEP, afterStep(step)) : memory.ones();
      if (spec.midRise || left < STEP || !quantize(memory, pivots, before, step, spec)) {
        quantizeAny(memory, pivots, step, left, spec);
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < STEP; i++) {
        next[i] = memory.handed(step, lane)[runColumn(i)];
      }
    }
  }
};
