// The inner loop of GPTQ with several partial solutions a row: dev.gptq.backend's beamBlock.
//
//   for j, each path p of a row: u nearest to w[p][j], u' its neighbour across the weight
//     e = (w[p][j] − q) / U[j][j];  cost' = fma(0.5·e, e, cost[p])   for both
//   the cheapest continuations become paths 0 …:  w'[k] = fma(−e, U[j][k], w[p][k]) for k > j
//
// A warp has one row, its paths in shared memory. In the choice of continuations lane p speaks for
// path p, in the update the lanes are columns. Chosen paths read their parent's weights and write
// their own to a second buffer, so that nothing is copied; what lies behind column j stays where it
// is, with the parent's number, and is read backwards at the end.
#include "elementwise.cuh"
#include "grid.cuh"

static const int BEAM_CHUNK = 4;
static const int BEAM_PATHS = 4;

/** One row's paths in shared memory; B columns, M paths. */
struct Beam {
  float* now;      // [path][column], current weights
  float* next;     // the same after this column
  float* error;    // [column][path]
  float* scale;    // [column]
  float* zero;     // [column]
  float* cost;     // [path]
  u8* code;        // [column][path]
  u8* parent;      // [column][path]

  __device__ static int bytes(int paths, int columns) {
    return (14 * paths * columns + 8 * columns + 4 * paths + 15) & ~15;
  }

  __device__ Beam(unsigned char* at, int paths, int columns) {
    int size = paths * columns;
    now = reinterpret_cast<float*>(at);
    next = now + size;
    error = next + size;
    scale = error + size;
    zero = scale + columns;
    cost = zero + columns;
    code = reinterpret_cast<u8*>(cost + paths);
    parent = code + size;
  }
};

/** A way to go on with a path; `key` orders costs, which are not negative, and what is no way. */
struct Continuation {
  int code;
  float error;
  float cost;
  u32 key;

  __device__ Continuation(int code, bool exists, float w, float scale, float zero, float pivot,
                          float before)
      : code(code) {
    error = __fdiv_rn(__fsub_rn(w, valueOf(code, scale, zero)), pivot);
    cost = __fmaf_rn(__fmul_rn(0.5f, error), error, before);
    key = exists ? __float_as_uint(cost) : ~0u;
  }
};

/** Ranks the continuations of all paths and makes the cheapest the paths after column j. */
__device__ inline void choosePaths(const Beam& beam, int j, int paths, int columns, float pivot,
                                   const GridSpec& spec) {
  int p = threadIdx.x;
  bool live = p < paths;
  float scale = beam.scale[j];
  float zero = beam.zero[j];
  float w = live ? beam.now[p * columns + j] : 0.0f;
  float before = live ? beam.cost[p] : 0.0f;
  int nearest = codeOf(w, scale, zero, spec);
  bool above = __fsub_rn(w, valueOf(nearest, scale, zero)) >= 0;
  int other = above == (scale > 0) ? nearest + 1 : nearest - 1;
  bool exists = other >= spec.minCode && other <= spec.maxCode;
  Continuation a(nearest, live, w, scale, zero, pivot, before);
  Continuation b(other, live && exists, w, scale, zero, pivot, before);
  int rankA = 0;
  int rankB = 0;
#pragma unroll 4
  for (int i = 0; i < paths; i++) {
    u32 keyA = __shfl_sync(~0u, a.key, i);
    u32 keyB = __shfl_sync(~0u, b.key, i);
    rankA += (keyA < a.key || (keyA == a.key && i < p)) + (keyB < a.key || (keyB == a.key && i < p));
    rankB += (keyA < b.key || (keyA == b.key && i <= p)) + (keyB < b.key || (keyB == b.key && i < p));
  }
  // All have read the costs that are replaced now.
  __syncwarp();
  if (live && rankA < paths) {
    beam.cost[rankA] = a.cost;
    beam.error[j * paths + rankA] = a.error;
    beam.code[j * paths + rankA] = u8(a.code);
    beam.parent[j * paths + rankA] = u8(p);
  }
  if (live && exists && rankB < paths) {
    beam.cost[rankB] = b.cost;
    beam.error[j * paths + rankB] = b.error;
    beam.code[j * paths + rankB] = u8(b.code);
    beam.parent[j * paths + rankB] = u8(p);
  }
  __syncwarp();
}

/**
 * next[q][k] = fma(−e[q], U[j][k], now[parent of q][k]) for k > j, four paths at a time: all that
 * they read is asked for before the first of them writes.
 */
__device__ inline void updatePaths(const Beam& beam, int j, int paths, int columns,
                                   const Matrix& u) {
  for (int base = (j + 1) & ~31; base < columns; base += 32 * BEAM_CHUNK) {
    float factor[BEAM_CHUNK];
#pragma unroll
    for (int i = 0; i < BEAM_CHUNK; i++) {
      int k = base + 32 * i + threadIdx.x;
      factor[i] = k > j && k < columns ? u.at<float>(j, k) : 0.0f;
    }
    for (int first = 0; first < paths; first += BEAM_PATHS) {
      float values[BEAM_PATHS][BEAM_CHUNK];
      float errors[BEAM_PATHS];
#pragma unroll
      for (int s = 0; s < BEAM_PATHS; s++) {
        int q = first + s < paths ? first + s : first;
        errors[s] = beam.error[j * paths + q];
        const float* from = beam.now + beam.parent[j * paths + q] * columns;
#pragma unroll
        for (int i = 0; i < BEAM_CHUNK; i++) {
          int k = base + 32 * i + threadIdx.x;
          values[s][i] = k > j && k < columns ? from[k] : 0.0f;
        }
      }
#pragma unroll
      for (int s = 0; s < BEAM_PATHS; s++) {
        float* to = beam.next + (first + s) * columns;
#pragma unroll
        for (int i = 0; i < BEAM_CHUNK; i++) {
          int k = base + 32 * i + threadIdx.x;
          if (first + s < paths && k > j && k < columns) {
            to[k] = __fmaf_rn(-errors[s], factor[i], values[s][i]);
          }
        }
      }
    }
  }
  __syncwarp();
}

/** Brings error and code of each column from the order then to the final one; gives the origin. */
__device__ inline int traceBack(const Beam& beam, int paths, int columns) {
  int p = threadIdx.x;
  int q = p;
  for (int j = columns - 1; j >= 0; j--) {
    float error = 0.0f;
    u8 code = 0;
    if (p < paths) {
      error = beam.error[j * paths + q];
      code = beam.code[j * paths + q];
      q = beam.parent[j * paths + q];
    }
    __syncwarp();
    if (p < paths) {
      beam.error[j * paths + p] = error;
      beam.code[j * paths + p] = code;
    }
    __syncwarp();
  }
  return q;
}

extern "C" __global__ void beamBlock(Matrix w, Matrix cost, Matrix u, Matrix scale, Matrix zero,
                                     Matrix groupOf, GridSpec spec, Matrix codes, Matrix source) {
  DYNAMIC_SHARED(unsigned char, beams);
  int paths = cost.columns;
  int rows = cost.rows;
  int columns = w.columns;
  int bytes = Beam::bytes(paths, columns);
  int firstRow = blockIdx.x * blockDim.y;
  int left = rows - firstRow < int(blockDim.y) ? rows - firstRow : int(blockDim.y);
  int thread = threadIdx.y * 32 + threadIdx.x;
  int threads = 32 * blockDim.y;

  // Neighbouring threads take neighbouring rows, which are neighbours in memory.
  for (int i = thread; i < left * paths * columns; i += threads) {
    int r = i % left;
    int p = i / left % paths;
    int k = i / left / paths;
    Beam beam(beams + r * bytes, paths, columns);
    beam.now[p * columns + k] = w.at<float>((long long)p * rows + firstRow + r, k);
  }
  for (int i = thread; i < left * columns; i += threads) {
    Beam beam(beams + i % left * bytes, paths, columns);
    int group = groupOf.at<int>(0, i / left);
    beam.scale[i / left] = scale.at<float>(firstRow + i % left, group);
    beam.zero[i / left] = zero.at<float>(firstRow + i % left, group);
  }
  for (int i = thread; i < left * paths; i += threads) {
    Beam beam(beams + i % left * bytes, paths, columns);
    beam.cost[i / left] = cost.at<float>(firstRow + i % left, i / left);
  }
  __syncthreads();

  if (int(threadIdx.y) < left) {
    Beam beam(beams + threadIdx.y * bytes, paths, columns);
    for (int j = 0; j < columns; j++) {
      choosePaths(beam, j, paths, columns, u.at<float>(j, j), spec);
      updatePaths(beam, j, paths, columns, u);
      float* done = beam.now;
      beam.now = beam.next;
      beam.next = done;
    }
    int origin = traceBack(beam, paths, columns);
    if (int(threadIdx.x) < paths) {
      int row = firstRow + threadIdx.y;
      source.at<int>(0, (long long)threadIdx.x * rows + row) = origin * rows + row;
    }
  }
  __syncthreads();

  for (int i = thread; i < left * paths * columns; i += threads) {
    int r = i % left;
    int p = i / left % paths;
    int k = i / left / paths;
    Beam beam(beams + r * bytes, paths, columns);
    long long row = (long long)p * rows + firstRow + r;
    w.at<float>(row, k) = beam.error[k * paths + p];
    codes.at<u8>(row, k) = beam.code[k * paths + p];
  }
  for (int i = thread; i < left * paths; i += threads) {
    Beam beam(beams + i % left * bytes, paths, columns);
    cost.at<float>(firstRow + i % left, i / left) = beam.cost[i / left];
  }
}

/** cost[r][p] = infinity where path p of a row does not come from where path 0 does. */
extern "C" __global__ void keepDescendants(Matrix origin, Matrix cost) {
  Matrix paths{cost.data, cost.columnStride, cost.rowStride, cost.columns, cost.rows, F32, 0};
  forEachElement(paths, [&](long long p, long long r) {
    if (origin.at<int>(0, p * paths.columns + r) != origin.at<int>(0, r)) {
      paths.at<float>(p, r) = __uint_as_float(0x7f800000u);
    }
  });
}
