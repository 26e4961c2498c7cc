// beamBlock for up to eight paths of up to 128 columns; see beam_block.cu for what it computes.
//
// A warp has one row. Lane l speaks for path l mod 8, in the second eight lanes of each half for its
// other code, and the halves of the warp compare the continuations with eight others each. In the
// update lanes are columns, four each, which only they write: the paths' weights are read, all of
// them, and written back to where they were in another order. A column's time is the latency of one
// step after the other. So what a step waits for is at hand before it: quotients by reciprocals,
// grids and factors of the next column while this one is worked on, and the next column's weight of
// each path before the other columns'.
#pragma once
#include "grid.cuh"
#include "block.cuh"

static const int EIGHT = 8;

/** One row's paths in shared memory. */
struct EightPaths {
  /** Current weights; the last four columns are there so that columns lie in different banks. */
  float weight[EIGHT][BLOCK_COLUMNS + 4];
  float error[BLOCK_COLUMNS][EIGHT];
  u8 code[BLOCK_COLUMNS][EIGHT];
  u8 parent[BLOCK_COLUMNS][EIGHT];
  float cost[EIGHT];
};

/** What all rows of a block of threads need of U: U[j][j], its reciprocal, U[j][j + 1]. */
struct Pivots {
  float value[BLOCK_COLUMNS];
  float reciprocal[BLOCK_COLUMNS];
  float next[BLOCK_COLUMNS];
};

/** U[j][4·lane …]; what lies behind the columns meets weights of none. */
__device__ inline Four factorsOf(const Matrix& u, int j, bool quads) {
  Four f = {{0.0f, 0.0f, 0.0f, 0.0f}};
  int k = 4 * threadIdx.x;
  const float* row = u.row<float>(j) + k;
  if (quads) {
    if (k < u.columns) {
      f = Four::at(row);
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      f.v[i] = k + i < u.columns ? row[i] : 0.0f;
    }
  }
  return f;
}

/** Whether a path's continuation is one of the cheapest, and as which. */
__device__ inline int rankOf(u32 key) {
  int lane = threadIdx.x;
  int rivals = lane >> 4;
  int order = 2 * (lane % EIGHT) + (lane / EIGHT) % 2;
  int rank = 0;
#pragma unroll
  for (int i = 0; i < EIGHT; i++) {
    u32 other = __shfl_sync(~0u, key, rivals * EIGHT + i);
    rank += other < key || (other == key && 2 * i + rivals < order);
  }
  return rank + __shfl_xor_sync(~0u, rank, 16);
}

/** How a path goes on at a column. */
struct Way {
  float code;
  float error;
  float cost;
  bool exists;

  /** Whether quotients are those to nearest. */
  bool exact;

  /** With the nearest code or the other one; without branches if it need not be exact. */
  template <bool ANY>
  __device__ static Way of(float w, const Divisor& scale, float zero, const Divisor& pivot,
                           bool second, float before, const GridSpec& spec) {
    Way way;
    float nearest = codeNumber(ANY ? scale.divide(w) : scale.steps(w), zero, spec);
    bool above = __fsub_rn(w, __fmul_rn(scale.value, __fsub_rn(nearest, zero))) >= 0;
    float other =
        __fadd_rn(nearest, above == (scale.value > 0) ? 1.0f : -1.0f);
    way.code = second ? other : nearest;
    way.exists = !second || (other >= float(spec.minCode) && other <= float(spec.maxCode));
    float rest = __fsub_rn(w, __fmul_rn(scale.value, __fsub_rn(way.code, zero)));
    way.error = ANY ? pivot.divide(rest) : pivot.steps(rest);
    way.cost = __fmaf_rn(__fmul_rn(0.5f, way.error), way.error, before);
    way.exact = ANY || (scale.suits(w) && pivot.suits(rest));
    return way;
  }
};

/** All columns of a row. */
__device__ inline void searchEight(EightPaths& beam, const Pivots& pivots, int paths,
                                   const Matrix& u, int row, const Matrix& scales,
                                   const Matrix& zeros, const Matrix& groupOf,
                                   const GridSpec& spec) {
  int columns = u.columns;
  int lane = threadIdx.x;
  int path = lane % EIGHT;
  bool second = lane / EIGHT % 2 == 1;
  bool live = path < paths;
  bool quads = ofQuads(u);
  int group = groupOf.at<int>(0, 0);
  int nextGroup = columns > 1 ? groupOf.at<int>(0, 1) : group;
  Divisor scale(scales.at<float>(row, group));
  float zero = zeros.at<float>(row, group);
  Four nextFactor = factorsOf(u, 0, quads);
  Four factor = nextFactor;
  Four errors[2] = {};
  Four values[EIGHT] = {};
  bool open = false;
  float w = beam.weight[path][0];
  float before = beam.cost[path];
  for (int j = 0; j < columns; j++) {
    Divisor pivot(pivots.value[j], pivots.reciprocal[j]);
    Way way = Way::of<false>(w, scale, zero, pivot, second, before, spec);
    // In the meantime the columns to come are updated for the column before.
#pragma unroll
    for (int q = 0; q < EIGHT; q++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        values[q].v[i] = __fmaf_rn(-errors[q / 4].v[q % 4], factor.v[i], values[q].v[i]);
      }
      if (open) {
        values[q].to(beam.weight[q] + 4 * lane);
      }
    }
    factor = nextFactor;
    // What the next column needs.
    int last = columns - 1;
    float nextScale = scales.at<float>(row, nextGroup);
    float nextZero = zeros.at<float>(row, nextGroup);
    nextFactor = factorsOf(u, j < last ? j + 1 : last, quads);
    nextGroup = groupOf.at<int>(0, j + 2 < last ? j + 2 : last);
    if (!way.exact) {
      way = Way::of<true>(w, scale, zero, pivot, second, before, spec);
    }
    bool exists = live && way.exists;
    int rank = rankOf(exists ? __float_as_uint(way.cost) : ~0u);
    if (exists && rank < paths && lane < 2 * EIGHT) {
      beam.error[j][rank] = way.error;
      beam.code[j][rank] = u8(int(way.code));
      beam.parent[j][rank] = u8(path);
      beam.cost[rank] = way.cost;
    }
    __syncwarp();

    w = __fmaf_rn(-beam.error[j][path], pivots.next[j], beam.weight[beam.parent[j][path]][j + 1]);
    before = beam.cost[path];
    errors[0] = Four::at(beam.error[j]);
    errors[1] = Four::at(beam.error[j] + 4);
    u64 parents = *reinterpret_cast<const u64*>(beam.parent[j]);
    open = 4 * lane + 3 > j && 4 * lane < columns;
    if (open) {
#pragma unroll
      for (int q = 0; q < EIGHT; q++) {
        int from = int(parents >> (8 * q)) & (EIGHT - 1);
        values[q] = Four::at(beam.weight[from] + 4 * lane);
      }
    }
    // The next column's weights have been read, and may be written.
    __syncwarp();
    zero = nextZero;
    if (nextScale != scale.value) {
      scale = Divisor(nextScale);
    }
  }
}

/** Brings error and code of each column from the order then to the final one; gives the origin. */
__device__ inline int traceEight(EightPaths& beam, int columns) {
  int p = threadIdx.x % EIGHT;
  int q = p;
  for (int end = columns; end > 0; end -= 4) {
    float error[4];
    u8 code[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int j = end - 1 - i;
      if (j >= 0) {
        error[i] = beam.error[j][q];
        code[i] = beam.code[j][q];
        q = beam.parent[j][q];
      }
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int j = end - 1 - i;
      if (j >= 0 && threadIdx.x < EIGHT) {
        beam.error[j][p] = error[i];
        beam.code[j][p] = code[i];
      }
    }
  }
  return q;
}

extern "C" __global__ void __launch_bounds__(224, 2)
    beamBlock_8(Matrix w, Matrix cost, Matrix u, Matrix scale, Matrix zero, Matrix groupOf,
                GridSpec spec, Matrix codes, Matrix source) {
  DYNAMIC_SHARED(unsigned char, memory);
  Pivots& pivots = *reinterpret_cast<Pivots*>(memory);
  EightPaths* beams = reinterpret_cast<EightPaths*>(memory + sizeof(Pivots));
  int paths = cost.columns;
  int rows = cost.rows;
  int columns = w.columns;
  int firstRow = blockIdx.x * blockDim.y;
  int left = rows - firstRow < int(blockDim.y) ? rows - firstRow : int(blockDim.y);
  int thread = threadIdx.y * 32 + threadIdx.x;
  int threads = 32 * blockDim.y;

  for (int j = thread; j < columns; j += threads) {
    Divisor pivot(u.at<float>(j, j));
    pivots.value[j] = pivot.value;
    pivots.reciprocal[j] = pivot.reciprocal;
    pivots.next[j] = j + 1 < columns ? u.at<float>(j, j + 1) : 0.0f;
  }
  // Neighbouring threads take neighbouring rows, which are neighbours in memory.
  int r = thread % left;
  int step = threads / left;
  EightPaths& loaded = beams[r];
  for (int k = thread / left; k < columns && thread < step * left; k += step) {
#pragma unroll
    for (int p = 0; p < EIGHT; p++) {
      if (p < paths) {
        loaded.weight[p][k] = w.at<float>((long long)p * rows + firstRow + r, k);
      }
    }
    // Of paths that there are not.
    *reinterpret_cast<u64*>(loaded.parent[k]) = 0;
  }
  for (int i = thread; i < left * EIGHT; i += threads) {
    bool exists = i / left < paths;
    beams[i % left].cost[i / left] =
        exists ? cost.at<float>(firstRow + i % left, i / left) : 0.0f;
  }
  __syncthreads();

  int row = firstRow + threadIdx.y;
  if (int(threadIdx.y) < left) {
    EightPaths& beam = beams[threadIdx.y];
    searchEight(beam, pivots, paths, u, row, scale, zero, groupOf, spec);
    int origin = traceEight(beam, columns);
    if (int(threadIdx.x) < paths) {
      source.at<int>(0, (long long)threadIdx.x * rows + row) = origin * rows + row;
      cost.at<float>(row, threadIdx.x) = beam.cost[threadIdx.x];
    }
  }
  __syncthreads();

  for (int k = thread / left; k < columns && thread < step * left; k += step) {
#pragma unroll
    for (int p = 0; p < EIGHT; p++) {
      if (p < paths) {
        long long at = (long long)p * rows + firstRow + r;
        w.at<float>(at, k) = loaded.error[k][p];
        codes.at<u8>(at, k) = loaded.code[k][p];
      }
    }
  }
}
