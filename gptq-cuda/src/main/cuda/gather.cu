// Columns, rows and both picked by an index.
#include "elementwise.cuh"

/** dst[:, j] = src[:, index[j]], F32 or U8; the block runs along dst's contiguous index. */
template <class T>
__device__ inline void gatherColumnsOf(Matrix src, Matrix index, Matrix dst) {
  bool alongRows = dst.columnStride == 1;
  int fixed = blockIdx.x;
  int count = alongRows ? dst.columns : dst.rows;
  for (int i = blockIdx.y * ELEMENTS + threadIdx.x; i < count && i < (blockIdx.y + 1) * ELEMENTS;
       i += ELEMENT_THREADS) {
    int row = alongRows ? fixed : i;
    int column = alongRows ? i : fixed;
    dst.at<T>(row, column) = src.at<T>(row, index.at<int>(0, column));
  }
}

extern "C" __global__ void gatherColumns_f32(Matrix src, Matrix index, Matrix dst) {
  gatherColumnsOf<float>(src, index, dst);
}

extern "C" __global__ void gatherColumns_u8(Matrix src, Matrix index, Matrix dst) {
  gatherColumnsOf<u8>(src, index, dst);
}

/** dst[i][j] = H[index[i]][index[j]]; dst has contiguous rows, H is symmetric. */
extern "C" __global__ void gatherSymmetric(Matrix h, Matrix index, Matrix dst) {
  forEachElement(dst, [&](long long i, long long j) {
    dst.at<float>(i, j) = h.at<float>(index.at<int>(0, i), index.at<int>(0, j));
  });
}

/** W[:, index[j]] = 0. */
extern "C" __global__ void zeroColumns(Matrix index, Matrix w) {
  int column = index.at<int>(0, blockIdx.x);
  for (int row = blockIdx.y * blockDim.x + threadIdx.x; row < w.rows;
       row += gridDim.y * blockDim.x) {
    w.at<float>(row, column) = 0.0f;
  }
}

// Whole rows: a block takes 64 of them and 128 columns, a thread a run of eight neighbours of four
// rows, at once where all rows begin at 16 bytes or more. What an index points at is asked for
// before anything is stored.
static const int GATHER_RUN = 8;
static const int GATHER_LANES = 16;
static const int GATHER_PASSES = 4;

/** The row of m in a pass of this thread. */
__device__ inline long long rowOfPass(int pass) {
  return ((long long)blockIdx.x * GATHER_PASSES + pass) * blockDim.y + threadIdx.y;
}

/** Elements of a row that are taken at once. */
template <int W>
struct Width {
  static const int value = W;
};

/** Calls f(width, column) for a thread's columns of two matrices, all eight at once or one by one. */
template <class T, class F>
__device__ inline void forEachRun(const Matrix& x, const Matrix& y, F f) {
  int first = (blockIdx.y * GATHER_LANES + threadIdx.x) * GATHER_RUN;
  if (x.columns % GATHER_RUN == 0 && inPacks<T, GATHER_RUN>(x) && inPacks<T, GATHER_RUN>(y)) {
    if (first < x.columns) {
      f(Width<GATHER_RUN>(), first);
    }
  } else {
    for (int column = first; column < first + GATHER_RUN && column < x.columns; column++) {
      f(Width<1>(), column);
    }
  }
}

template <class T, int W>
__device__ inline void gatherRuns(const Matrix& x, const Matrix& index, const Matrix& y,
                                  int column) {
  Pack<T, W> run[GATHER_PASSES];
#pragma unroll
  for (int p = 0; p < GATHER_PASSES; p++) {
    long long t = rowOfPass(p);
    if (t < y.rows) {
      run[p] = Pack<T, W>::at(x.row<T>(index.at<int>(0, t)) + column);
    }
  }
#pragma unroll
  for (int p = 0; p < GATHER_PASSES; p++) {
    long long t = rowOfPass(p);
    if (t < y.rows) {
      run[p].to(y.row<T>(t) + column);
    }
  }
}

/** y[t] = x[index[t]]. */
template <class T>
__device__ inline void gatherRowsOf(const Matrix& x, const Matrix& index, const Matrix& y) {
  forEachRun<T>(x, y, [&](auto width, int column) {
    gatherRuns<T, decltype(width)::value>(x, index, y, column);
  });
}
KERNEL_OF_ACTIVATIONS(gatherRows, (Matrix x, Matrix index, Matrix y), (x, index, y))

template <class T, int W>
__device__ inline void scatterRuns(const Matrix& x, const Matrix& index, const Matrix& weight,
                                   const Matrix& y, int column) {
  Pack<T, W> run[GATHER_PASSES];
  Pack<T, W> sum[GATHER_PASSES];
#pragma unroll
  for (int p = 0; p < GATHER_PASSES; p++) {
    long long t = rowOfPass(p);
    if (t < x.rows) {
      run[p] = Pack<T, W>::at(x.row<T>(t) + column);
      sum[p] = Pack<T, W>::at(y.row<T>(index.at<int>(0, t)) + column);
    }
  }
#pragma unroll
  for (int p = 0; p < GATHER_PASSES; p++) {
    long long t = rowOfPass(p);
    if (t < x.rows) {
      float factor = weight.at<float>(0, t);
      Pack<T, W>::of([&](float a, float b) { return fmaf(factor, a, b); }, run[p], sum[p])
          .to(y.row<T>(index.at<int>(0, t)) + column);
    }
  }
}

/** y[index[t]] = y[index[t]] + weight[t]·x[t]; the index has no repeats. */
template <class T>
__device__ inline void scatterAddRowsOf(const Matrix& x, const Matrix& index,
                                        const Matrix& weight, const Matrix& y) {
  forEachRun<T>(x, y, [&](auto width, int column) {
    scatterRuns<T, decltype(width)::value>(x, index, weight, y, column);
  });
}
KERNEL_OF_ACTIVATIONS(scatterAddRows, (Matrix x, Matrix index, Matrix weight, Matrix y),
                      (x, index, weight, y))
