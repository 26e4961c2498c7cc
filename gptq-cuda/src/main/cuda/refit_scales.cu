// Least-squares scales of each row: (A + λ·I)·δ = b by Cholesky in float64, λ = 1e-6 of the mean
// diagonal; s' = R(s + δ) is kept where it lowers δ'·A·δ'ᵀ − 2·b·δ'ᵀ with δ' = s' − s.
//
// A warp has one row, whose packed lower triangle lies in shared memory. Where it is too large for that, it
// lies in scratch, and a block of threads has one row: of a column's sums all but those of the last 32
// columns are taken for 32 columns at once, from tiles in shared memory. Each sum has its terms in the same
// order either way. With A + λ·I = L·Lᵀ the quadratic is ‖Lᵀ·δ'‖² − λ·‖δ'‖².
#include "grid.cuh"

static const double REFIT_RIDGE = 1e-6;

/** One row's system in the hands of a warp; n groups. */
struct Refit {
  double* l;     // packed lower triangle
  double* b;     // right side, then the solution
  float* scale;  // s, then s'
  int n;

  __device__ static long long entries(long long n) { return n * (n + 1) / 2; }
  /** Doubles a row takes. */
  __device__ static long long size(long long n) { return entries(n) + 2 * n; }

  __device__ Refit(double* at, int n) : l(at), n(n) {
    b = l + entries(n);
    scale = reinterpret_cast<float*>(b + n);
  }

  __device__ double& at(int i, int j) const { return l[(long long)i * (i + 1) / 2 + j]; }

  /** A + λ·I in place of A; gives λ. */
  __device__ double damp() const {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += 32) {
      sum += at(i, i);
    }
    double ridge = REFIT_RIDGE * (reduceWarp(sum, Sum()) / n);
    for (int i = threadIdx.x; i < n; i += 32) {
      at(i, i) += ridge;
    }
    __syncwarp();
    return ridge;
  }

  /** L in place of the matrix; false if that is not positive definite. */
  __device__ bool factor() const {
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int k = threadIdx.x; k < j; k += 32) {
        sum += at(j, k) * at(j, k);
      }
      double pivot = at(j, j) - reduceWarp(sum, Sum());
      if (!(pivot > 0)) {
        return false;
      }
      double root = sqrt(pivot);
      __syncwarp();
      if (threadIdx.x == 0) {
        at(j, j) = root;
      }
      for (int i = j + 1 + threadIdx.x; i < n; i += 32) {
        double rest = at(i, j);
        for (int k = 0; k < j; k++) {
          rest -= at(i, k) * at(j, k);
        }
        at(i, j) = rest / root;
      }
      __syncwarp();
    }
    return true;
  }

  /** The solution in place of b, by two substitutions. */
  __device__ void solve() const {
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int k = threadIdx.x; k < i; k += 32) {
        sum += at(i, k) * b[k];
      }
      sum = reduceWarp(sum, Sum());
      if (threadIdx.x == 0) {
        b[i] = (b[i] - sum) / at(i, i);
      }
      __syncwarp();
    }
    for (int i = n - 1; i >= 0; i--) {
      double sum = 0;
      for (int k = i + 1 + threadIdx.x; k < n; k += 32) {
        sum += at(k, i) * b[k];
      }
      sum = reduceWarp(sum, Sum());
      if (threadIdx.x == 0) {
        b[i] = (b[i] - sum) / at(i, i);
      }
      __syncwarp();
    }
  }

  /** ‖Lᵀ·b‖² − λ·‖b‖². */
  __device__ double quadratic(double ridge) const {
    double sum = 0;
    for (int k = threadIdx.x; k < n; k += 32) {
      double v = 0;
      for (int i = k; i < n; i++) {
        v += at(i, k) * b[i];
      }
      sum += v * v - ridge * b[k] * b[k];
    }
    return reduceWarp(sum, Sum());
  }
};

/** s + δ as it is stored, with the sign of s. */
__device__ inline float refitted(float scale, double step, const GridSpec& spec) {
  double sum = scale + step;
  float magnitude = scale > 0 ? float(sum) : scale < 0 ? float(-sum) : 0.0f;
  float rounded = roundScale(magnitude > 0 ? magnitude : 0.0f, spec);
  return scale < 0 ? -rounded : rounded;
}

/** The scales of a row whose matrix is damped and, if `factored`, L; gives the change of its loss. */
__device__ inline double refitRow(const Refit& system, bool factored, double ridge, long long row,
                                  const Matrix& gradient, const GridSpec& spec,
                                  const Matrix& scale) {
  if (!factored) {
    return 0;
  }
  int n = system.n;
  system.solve();
  double linear = 0;
  for (int g = threadIdx.x; g < n; g += 32) {
    float old = scale.at<float>(row, g);
    system.scale[g] = refitted(old, system.b[g], spec);
    system.b[g] = double(system.scale[g]) - old;
    linear += system.b[g] * gradient.at<float>(row, g);
  }
  linear = reduceWarp(linear, Sum());
  __syncwarp();
  double moved = system.quadratic(ridge) - 2 * linear;
  if (!(moved < 0)) {
    return 0;
  }
  for (int g = threadIdx.x; g < n; g += 32) {
    scale.at<float>(row, g) = system.scale[g];
  }
  return moved;
}

extern "C" __global__ void refitScales(Matrix normal, Matrix gradient, GridSpec spec, Matrix scale,
                                       Matrix change) {
  DYNAMIC_SHARED(double, systems);
  int n = scale.columns;
  int rowsAtOnce = blockDim.y;
  long long size = Refit::size(n);
  Refit system(systems + threadIdx.y * size, n);
  int thread = threadIdx.y * 32 + threadIdx.x;
  long long first = (long long)blockIdx.x * rowsAtOnce;
  int left = scale.rows - first < rowsAtOnce ? int(scale.rows - first) : rowsAtOnce;
  // Neighbouring threads take neighbouring rows, which are neighbours in memory.
  for (long long i = thread; i < left * Refit::entries(n); i += 32 * rowsAtOnce) {
    systems[i % left * size + i / left] = normal.at<float>(first + i % left, i / left);
  }
  __syncthreads();
  if (int(threadIdx.y) < left) {
    long long row = first + threadIdx.y;
    for (int g = threadIdx.x; g < n; g += 32) {
      system.b[g] = gradient.at<float>(row, g);
    }
    __syncwarp();
    double ridge = system.damp();
    bool factored = system.factor();
    double moved = refitRow(system, factored, ridge, row, gradient, spec, scale);
    if (threadIdx.x == 0) {
      change.at<float>(row, 0) = float(moved);
    }
  }
}

/** Columns that are factored together, and rows of a tile; warps of a block. */
static const int REFIT_PANEL = 32;
static const int REFIT_TILE = 64;
static const int REFIT_WARPS = 8;

/** Blocks of a multiprocessor that there are registers for. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
static const int REFIT_BLOCKS = 1;
#else
static const int REFIT_BLOCKS = 2;
#endif

/** What the threads of a block share; a tile has a column more than it needs, against conflicts. */
struct RefitTiles {
  double left[REFIT_TILE][REFIT_PANEL + 1];
  double top[REFIT_PANEL][REFIT_PANEL + 1];
  /** Of each row of a panel and each lane, squares of every 32nd column left of the panel. */
  double squares[REFIT_PANEL][REFIT_PANEL + 1];
  bool factored;
};

/** A panel's entries less what lies left of it, and the squares of its own rows. */
__device__ inline void refitLeft(const Refit& system, RefitTiles& tiles, int from) {
  const int rows = REFIT_TILE / REFIT_WARPS;
  const int own = REFIT_PANEL / REFIT_WARPS;
  int lane = threadIdx.x;
  int warp = threadIdx.y;
  int thread = warp * 32 + lane;
  int n = system.n;
  int j = from + lane;
  for (int first = from; first < n; first += REFIT_TILE) {
    double rest[rows];
    double squares[own] = {};
    for (int r = 0; r < rows; r++) {
      int i = first + warp * rows + r;
      rest[r] = i < n && j < i ? system.at(i, j) : 0;
    }
    for (int k0 = 0; k0 < from; k0 += REFIT_PANEL) {
      __syncthreads();
      // Unrolled, these two loops take the registers that a second block needs.
#pragma unroll 1
      for (int t = thread; t < REFIT_TILE * REFIT_PANEL; t += 32 * REFIT_WARPS) {
        int i = first + t / REFIT_PANEL;
        int k = t % REFIT_PANEL;
        tiles.left[t / REFIT_PANEL][k] = i < n ? system.at(i, k0 + k) : 0;
      }
#pragma unroll 1
      for (int t = thread; t < REFIT_PANEL * REFIT_PANEL; t += 32 * REFIT_WARPS) {
        int i = from + t / REFIT_PANEL;
        int k = t % REFIT_PANEL;
        tiles.top[t / REFIT_PANEL][k] = i < n ? system.at(i, k0 + k) : 0;
      }
      __syncthreads();
      for (int k = 0; k < REFIT_PANEL; k++) {
        double right = tiles.top[lane][k];
        for (int r = 0; r < rows; r++) {
          rest[r] -= tiles.left[warp * rows + r][k] * right;
        }
      }
      for (int r = 0; r < own; r++) {
        double l = tiles.top[warp * own + r][lane];
        squares[r] += l * l;
      }
    }
    for (int r = 0; r < rows; r++) {
      int i = first + warp * rows + r;
      if (i < n && j < i) {
        system.at(i, j) = rest[r];
      }
    }
    for (int r = 0; r < own; r++) {
      tiles.squares[warp * own + r][lane] = squares[r];
    }
  }
}

/** The rows of L whose diagonal lies in a panel, by a warp, also in tiles.top. */
__device__ inline void refitDiagonal(const Refit& system, RefitTiles& tiles, int from) {
  int lane = threadIdx.x;
  int width = system.n - from < REFIT_PANEL ? system.n - from : REFIT_PANEL;
  for (int i = 0; i < width; i++) {
    tiles.top[i][lane] = lane <= i ? system.at(from + i, from + lane) : 0;
  }
  __syncwarp();
  for (int j = 0; j < width; j++) {
    double sum = tiles.squares[j][lane];
    if (lane < j) {
      sum += tiles.top[j][lane] * tiles.top[j][lane];
    }
    double pivot = tiles.top[j][j] - reduceWarp(sum, Sum());
    if (!(pivot > 0)) {
      tiles.factored = false;
      return;
    }
    double root = sqrt(pivot);
    __syncwarp();
    if (lane == j) {
      tiles.top[j][j] = root;
    } else if (lane > j && lane < width) {
      double rest = tiles.top[lane][j];
      for (int k = 0; k < j; k++) {
        rest -= tiles.top[lane][k] * tiles.top[j][k];
      }
      tiles.top[lane][j] = rest / root;
    }
    __syncwarp();
  }
  for (int i = 0; i < width; i++) {
    if (lane <= i) {
      system.at(from + i, from + lane) = tiles.top[i][lane];
    }
  }
}

/** The rows of L below those, a thread a row. */
__device__ inline void refitBelow(const Refit& system, const RefitTiles& tiles, int from) {
  int thread = threadIdx.y * 32 + threadIdx.x;
  for (int i = from + REFIT_PANEL + thread; i < system.n; i += 32 * REFIT_WARPS) {
    // The compiler would read the whole tile once for all rows, and has no registers for it.
    asm volatile("" ::: "memory");
    double l[REFIT_PANEL];
#pragma unroll
    for (int j = 0; j < REFIT_PANEL; j++) {
      double rest = system.at(i, from + j);
#pragma unroll
      for (int k = 0; k < j; k++) {
        rest -= l[k] * tiles.top[j][k];
      }
      l[j] = rest / tiles.top[j][j];
    }
#pragma unroll
    for (int j = 0; j < REFIT_PANEL; j++) {
      system.at(i, from + j) = l[j];
    }
  }
}

/** The same for systems in scratch, a block's after each other's; blocks have 32 x 8 threads. */
extern "C" __global__ void __launch_bounds__(32 * REFIT_WARPS, REFIT_BLOCKS)
    refitLargeScales(Matrix normal, Matrix gradient, GridSpec spec, Matrix scale, Matrix change,
                     double* scratch) {
  __shared__ RefitTiles tiles;
  int n = scale.columns;
  Refit system(scratch + blockIdx.x * Refit::size(n), n);
  int thread = threadIdx.y * 32 + threadIdx.x;
  for (long long row = blockIdx.x; row < scale.rows; row += gridDim.x) {
    __syncthreads();
    for (long long i = thread; i < Refit::entries(n); i += 32 * REFIT_WARPS) {
      system.l[i] = normal.at<float>(row, i);
    }
    for (int g = thread; g < n; g += 32 * REFIT_WARPS) {
      system.b[g] = gradient.at<float>(row, g);
    }
    tiles.factored = true;
    __syncthreads();
    double ridge = threadIdx.y == 0 ? system.damp() : 0;
    __syncthreads();
    for (int from = 0; from < n && tiles.factored; from += REFIT_PANEL) {
      refitLeft(system, tiles, from);
      __syncthreads();
      if (threadIdx.y == 0) {
        refitDiagonal(system, tiles, from);
      }
      __syncthreads();
      refitBelow(system, tiles, from);
      __syncthreads();
    }
    if (threadIdx.y == 0) {
      double moved = refitRow(system, tiles.factored, ridge, row, gradient, spec, scale);
      if (threadIdx.x == 0) {
        change.at<float>(row, 0) = float(moved);
      }
    }
  }
}
