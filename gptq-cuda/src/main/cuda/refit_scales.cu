// Least-squares scales of each row: (A + λ·I)·δ = b by Cholesky in float64, λ = 1e-6 of the mean
// diagonal; s' = R(s + δ) is kept where it lowers δ'·A·δ'ᵀ − 2·b·δ'ᵀ with δ' = s' − s.
//
// A warp has one row; the packed lower triangle lies in shared memory, or in scratch where it is too
// large. With A + λ·I = L·Lᵀ the quadratic is ‖Lᵀ·δ'‖² − λ·‖δ'‖².
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

extern "C" __global__ void refitScales(Matrix normal, Matrix gradient, GridSpec spec, Matrix scale,
                                       Matrix change, double* scratch) {
  DYNAMIC_SHARED(double, shared);
  int n = scale.columns;
  int rowsAtOnce = blockDim.y;
  long long size = Refit::size(n);
  double* systems = scratch ? scratch + blockIdx.x * rowsAtOnce * size : shared;
  Refit system(systems + threadIdx.y * size, n);
  int thread = threadIdx.y * 32 + threadIdx.x;
  for (long long first = (long long)blockIdx.x * rowsAtOnce; first < scale.rows;
       first += (long long)gridDim.x * rowsAtOnce) {
    int left = scale.rows - first < rowsAtOnce ? int(scale.rows - first) : rowsAtOnce;
    __syncthreads();
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
      double moved = 0;
      if (system.factor()) {
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
        moved = system.quadratic(ridge) - 2 * linear;
        if (moved < 0) {
          for (int g = threadIdx.x; g < n; g += 32) {
            scale.at<float>(row, g) = system.scale[g];
          }
        }
      }
      if (threadIdx.x == 0) {
        change.at<float>(row, 0) = moved < 0 ? float(moved) : 0.0f;
      }
    }
  }
}
