// The inner loop of GPTQ on a block of up to 128 columns, all in one launch.
//
//   for j: codes[:, j] = u(w[:, j]);  e = (w[:, j] − q) / U[j][j]
//          w[:, k] = fma(−e, U[j][k], w[:, k]) for k > j;  w[:, j] = e
//
// Rows are independent. Four lanes share a row and keep it in registers: lane p owns the columns
// 16i + 4p … 16i + 4p + 3. U lies in shared memory, where a lane reads its four factors at once.
// The owner of column j broadcasts e. After 16 columns the registers move down by one group, so that
// the loop over groups needs no copies of its body.
//
// The time of a column is the latency from its weight to the next one's. So quotients are by
// reciprocals that are made before, codes are numbers until 16 are known, and the columns behind the
// 16 get what a column leaves them while the next one's error is computed, without branches between
// them. What lies in memory is asked for before: all of U at once, grids 16 columns ahead.
#pragma once
#include "grid.cuh"
#include "mma.cuh"

static const int BLOCK_COLUMNS = 128;
static const int ROW_THREADS = 128;
static const int OWN = 4;

/** Rows of a block of threads. */
static const int ROWS = 32;

/** Columns between barriers. */
static const int STEP = 8;

/** Rows of factors that come first, and with the next ones. */
static const int FIRST_FACTORS = 16;
static const int NEXT_FACTORS = 48;

/** Of the GPU that this is tuned for. */
static const int MULTIPROCESSORS = 132;

struct alignas(16) Four {
  float v[4];
};

/**
 * Starts bringing a square of factors, whose rows are contiguous, to shared memory, in rows of 128.
 * What lies behind its columns stays as it is: it meets only registers of columns that are none.
 */
__device__ inline void startFactors(const Matrix& square, float* factors) {
  const float* from = square.row<float>(0);
  int columns = square.columns;
  bool fours = (u64(from) & 15) == 0 && ((square.rowStride | columns) & 3) == 0;
  for (int i = threadIdx.x; i < columns * (BLOCK_COLUMNS / 4); i += ROW_THREADS) {
    int j = i / (BLOCK_COLUMNS / 4);
    int k = i % (BLOCK_COLUMNS / 4) * 4;
    float* to = factors + j * BLOCK_COLUMNS + k;
    if (fours && k < columns) {
      startCopy(to, from + j * square.rowStride + k, true);
    } else {
      for (int c = k; c < k + 4 && c < columns; c++) {
        to[c - k] = from[j * square.rowStride + c];
      }
    }
  }
  endCopies();
}

/** Two neighbours. */
struct alignas(8) Two {
  float v[2];
};

/**
 * The first block of columns: factors on and above the diagonal, in rows of 128, and below them, in
 * the lower left quarter, what the warps tell each other: sixteen runs of eight columns of 32 rows.
 */
struct BlockMemory {
  float* factors;

  /** A row of a run's first column; its other columns are at runColumn from it. */
  __device__ float* run(int index, int row) const {
    return factors + (BLOCK_COLUMNS / 2 + index * (STEP / 2)) * BLOCK_COLUMNS + row;
  }

  __device__ float* scales(int step, int row) const { return run(step & 3, row); }
  __device__ float* zeros(int step, int row) const { return run(4 + (step & 3), row); }
  __device__ float* reciprocals(int step, int row) const { return run(8 + (step & 1), row); }
  __device__ float* errors(int step, int row) const { return run(10 + (step & 1), row); }
  __device__ float* codes(int step, int row) const { return run(12 + (step & 1), row); }

  /** The weights behind the ones after a step, which the step after it needs. */
  __device__ float* handed(int step, int row) const { return run(14 + (step & 1), row); }

  /** Rows of ones, eight columns wide. */
  __device__ float* ones() const { return factors + BLOCK_COLUMNS / 4 * BLOCK_COLUMNS; }

  __device__ const float* factor(int j, int k) const { return factors + j * BLOCK_COLUMNS + k; }
};

__device__ inline int runColumn(int j) {
  return j / 2 * BLOCK_COLUMNS + j % 2 * ROWS;
}

/** Starts bringing rows of factors on and above the diagonal; the other threads take other rows. */
__device__ inline void startTriangle(const Matrix& u, const BlockMemory& memory, int from, int to,
                                     int warp, int warps) {
  const float* square = u.row<float>(0);
  int columns = u.columns;
  bool fours = (u64(square) & 15) == 0 && ((u.rowStride | columns) & 3) == 0;
  int k = int(threadIdx.x & 31) * 4;
  for (int j = from + warp; j < to && j < columns; j += warps) {
    const float* row = square + j * u.rowStride;
    float* target = memory.factors + j * BLOCK_COLUMNS;
    if (k + 3 >= j && k < columns) {
      if (fours) {
        startCopy(target + k, row + k, true);
      } else {
        for (int c = k; c < k + 4 && c < columns; c++) {
          target[c] = row[c];
        }
      }
    }
  }
  endCopies();
}

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

  /** Factors of eight columns. */
  struct Row {
    float v[STEP];

    __device__ static Row of(const float* factor) {
      Row row;
#pragma unroll
      for (int i = 0; i < STEP; i += 4) {
        Four f = *reinterpret_cast<const Four*>(factor + i);
#pragma unroll
        for (int c = 0; c < 4; c++) {
          row.v[i + c] = f.v[c];
        }
      }
      return row;
    }
  };

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
    Row factor = Row::of(own);
    Row first = Row::of(before);
    Row second = Row::of(before + BLOCK_COLUMNS);
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
        factor = Row::of(own + (j + 1) * BLOCK_COLUMNS);
        first = Row::of(from);
        second = Row::of(from + BLOCK_COLUMNS);
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

/**
 * One of the warps that keep the columns that are far, every third eight of them, and bring the
 * errors of a step to them during the next one. A lane has two rows and four of each eight columns.
 */
struct Helper {
  static const int HELPERS = ROW_THREADS / 32 - 1;
  static const int EIGHTS = (BLOCK_COLUMNS / STEP - 2 + HELPERS - 1) / HELPERS;
  static const int GRIDS = (STEP + HELPERS - 1) / HELPERS;

  int helper;

  /** The first row of the block of threads. */
  int firstRow;
  float values[EIGHTS][STEP / 2][2];

  /** Grids of columns `helper`, `helper` + 3, … of a step to come, and the groups of the one after. */
  float scale[GRIDS];
  float zero[GRIDS];
  int group[GRIDS];

  __device__ int lane() const { return threadIdx.x & 31; }
  __device__ int pairRow() const { return lane() % 16 * 2; }
  __device__ int half() const { return lane() / 16 * (STEP / 2); }

  __device__ void load(const Matrix& w) {
#pragma unroll
    for (int g = 0; g < EIGHTS; g++) {
#pragma unroll
      for (int i = 0; i < STEP / 2; i++) {
        int c = (2 + helper + g * HELPERS) * STEP + half() + i;
#pragma unroll
        for (int r = 0; r < 2; r++) {
          int row = firstRow + pairRow() + r;
          values[g][i][r] = row < w.rows && c < w.columns ? w.at<float>(row, c) : 0.0f;
        }
      }
    }
  }

  __device__ void loadGroups(const Matrix& groupOf, int step) {
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      bool exists = c < STEP && step * STEP + c < groupOf.columns;
      group[i] = exists ? groupOf.at<int>(0, step * STEP + c) : -1;
    }
  }

  /** Of the columns whose groups were loaded. */
  __device__ void loadGrids(const Matrix& scales, const Matrix& zeros) {
    int row = firstRow + lane();
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      bool exists = group[i] >= 0 && row < scales.rows;
      scale[i] = exists ? scales.at<float>(row, group[i]) : 1.0f;
      zero[i] = exists ? zeros.at<float>(row, group[i]) : 0.0f;
    }
  }

  /** Reciprocals are NaN where steps without branches cannot use the grid. */
  __device__ void storeGrids(const BlockMemory& memory, int step) const {
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      if (c < STEP) {
        float z = zero[i];
        bool fits = nearestInteger(z) == z && fabsf(z) <= 65536.0f;
        memory.scales(step, lane())[runColumn(c)] = scale[i];
        memory.zeros(step, lane())[runColumn(c)] = z;
        memory.reciprocals(step, lane())[runColumn(c)] =
            fits ? reciprocalOrNan(scale[i]).reciprocal : __uint_as_float(0x7fc00000u);
      }
    }
  }

  __device__ static Divisor reciprocalOrNan(float d) {
    Divisor divisor(d);
    if (divisor.reciprocal == 0) {
      divisor.reciprocal = __uint_as_float(0x7fc00000u);
    }
    return divisor;
  }

  /** Brings a step's errors to all columns that are here, of which `from` is the first eight. */
  __device__ void take(const BlockMemory& memory, int step, int from) {
    const float* errors = memory.errors(step, pairRow());
    float e[STEP][2];
#pragma unroll
    for (int j = 0; j < STEP; j++) {
      Two pair = *reinterpret_cast<const Two*>(errors + runColumn(j));
      e[j][0] = pair.v[0];
      e[j][1] = pair.v[1];
    }
#pragma unroll
    for (int g = 0; g < EIGHTS; g++) {
      int eight = from + g * HELPERS;
      if (eight < BLOCK_COLUMNS / STEP) {
        const float* factor = memory.factor(step * STEP, eight * STEP + half());
#pragma unroll
        for (int j = 0; j < STEP; j++) {
          Four f = *reinterpret_cast<const Four*>(factor + j * BLOCK_COLUMNS);
#pragma unroll
          for (int i = 0; i < STEP / 2; i++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
              values[g][i][r] = __fmaf_rn(-e[j][r], f.v[i], values[g][i][r]);
            }
          }
        }
      }
    }
  }

  /** Gives the first eight columns to the chain; the others move up. */
  __device__ void hand(const BlockMemory& memory, int step) {
    float* to = memory.handed(step, pairRow());
#pragma unroll
    for (int i = 0; i < STEP / 2; i++) {
      Two pair = {{values[0][i][0], values[0][i][1]}};
      *reinterpret_cast<Two*>(to + half() / 2 * BLOCK_COLUMNS + runColumn(i)) = pair;
#pragma unroll
      for (int g = 0; g + 1 < EIGHTS; g++) {
        values[g][i][0] = values[g + 1][i][0];
        values[g][i][1] = values[g + 1][i][1];
      }
    }
  }

  /** A step's errors and codes, of columns `helper`, `helper` + 3, …. */
  __device__ void store(const BlockMemory& memory, int step, const Matrix& w,
                        const Matrix& codes) const {
    int row = firstRow + lane();
#pragma unroll
    for (int i = 0; i < GRIDS; i++) {
      int c = helper + i * HELPERS;
      int column = step * STEP + c;
      if (c < STEP && row < w.rows && column < w.columns) {
        w.at<float>(row, column) = memory.errors(step, lane())[runColumn(c)];
        codes.at<u8>(row, column) = u8(int(memory.codes(step, lane())[runColumn(c)]));
      }
    }
  }

  /** All steps, with the barriers of the chain. */
  __device__ void walk(const BlockMemory& memory, const Matrix& w, const Matrix& scales,
                       const Matrix& zeros, const Matrix& groupOf, const Matrix& codes) {
    int turn = helper;
    int from = 2 + helper;
    int steps = (w.columns + STEP - 1) / STEP;
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      storeGrids(memory, step + 2);
      loadGrids(scales, zeros);
      loadGroups(groupOf, step + 4);
      if (step > 0) {
        take(memory, step - 1, from);
      }
      if (turn == 0) {
        hand(memory, step);
        from += HELPERS;
        turn = HELPERS;
      }
      turn--;
      if (step > 0) {
        store(memory, step - 1, w, codes);
      }
      if (step == FIRST_FACTORS / STEP - 1) {
        awaitCopies<1>();
      } else if (step == NEXT_FACTORS / STEP - 1) {
        awaitCopies<0>();
      }
      __syncthreads();
    }
    store(memory, steps - 1, w, codes);
  }
};

extern "C" __global__ void __launch_bounds__(128, 3)
    quantizeBlock(Matrix w, Matrix u, Matrix scale, Matrix zero, Matrix groupOf, GridSpec spec,
                  Matrix codes) {
  DYNAMIC_SHARED(float, factors);
  __shared__ Divisor pivots[BLOCK_COLUMNS];
  BlockMemory memory = {factors};
  int columns = w.columns;
  int warp = threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int firstRow = blockIdx.x * ROWS;
  // Blocks of threads that share a multiprocessor have their chains on different schedulers.
  int role = (warp + blockIdx.x / MULTIPROCESSORS) % (ROW_THREADS / 32);
  int pivotColumn = threadIdx.x;
  float diagonal = pivotColumn < columns ? u.at<float>(pivotColumn, pivotColumn) : 1.0f;

  startTriangle(u, memory, 0, FIRST_FACTORS, warp, ROW_THREADS / 32);
  if (threadIdx.x < STEP * STEP) {
    memory.ones()[threadIdx.x / STEP * BLOCK_COLUMNS + threadIdx.x % STEP] = 1.0f;
  }
  if (role == 0) {
    Chain chain;
    int row = firstRow + lane;
#pragma unroll
    for (int i = 0; i < STEP; i++) {
      bool live = row < w.rows;
      chain.now[i] = live && i < columns ? w.at<float>(row, i) : 0.0f;
      chain.next[i] = live && STEP + i < columns ? w.at<float>(row, STEP + i) : 0.0f;
    }
    pivots[pivotColumn] = Helper::reciprocalOrNan(diagonal);
    awaitCopies<0>();
    __syncthreads();
    chain.walk(memory, pivots, columns, spec);
  } else {
    Helper helper;
    helper.helper = role - 1;
    helper.firstRow = firstRow;
    helper.loadGroups(groupOf, 0);
    helper.loadGrids(scale, zero);
    helper.storeGrids(memory, 0);
    helper.loadGroups(groupOf, 1);
    helper.loadGrids(scale, zero);
    helper.storeGrids(memory, 1);
    helper.loadGroups(groupOf, 2);
    helper.loadGrids(scale, zero);
    helper.loadGroups(groupOf, 3);
    startTriangle(u, memory, FIRST_FACTORS, NEXT_FACTORS, role - 1, Helper::HELPERS);
    startTriangle(u, memory, NEXT_FACTORS, BLOCK_COLUMNS, role - 1, Helper::HELPERS);
    helper.load(w);
    pivots[pivotColumn] = Helper::reciprocalOrNan(diagonal);
    awaitCopies<2>();
    __syncthreads();
    helper.walk(memory, w, scale, zero, groupOf, codes);
  }
}

/**
 * What a block leaves to the columns after it, in the order of the block's columns: w[:, k] =
 * fma(−e[:, j], U[j][k], w[:, k]). For blocks of more than 128 columns.
 */
extern "C" __global__ void quantizeBlockRest(Matrix e, Matrix u, Matrix w) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  int k = blockIdx.y;
  if (row < w.rows) {
    float value = w.at<float>(row, k);
    for (int j = 0; j < e.columns; j++) {
      value = __fmaf_rn(-e.at<float>(row, j), u.at<float>(j, k), value);
    }
    w.at<float>(row, k) = value;
  }
}
