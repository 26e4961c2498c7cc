// Totals in float64, in a fixed order: blocks leave partial sums, one block adds them up. Rows are
// contiguous; a block takes every gridDim.x-th run of SUM_RUN columns.
#include "common.cuh"

static const int SUM_THREADS = 256;
static const int SUM_RUN = 4096;

template <class Term>
__device__ inline void partialSums(const Matrix& x, double* partial, Term term) {
  int runs = (x.columns + SUM_RUN - 1) / SUM_RUN;
  long long items = (long long)x.rows * runs;
  double sum = 0;
  for (long long item = blockIdx.x; item < items; item += gridDim.x) {
    long long row = item / runs;
    int from = int(item % runs) * SUM_RUN;
    int to = x.columns - from < SUM_RUN ? x.columns : from + SUM_RUN;
    for (int c = from + threadIdx.x; c < to; c += SUM_THREADS) {
      sum += term(row, c);
    }
  }
  sum = reduceBlock(sum, 0.0, Sum());
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
  }
}

/** Σ x². */
extern "C" __global__ void sumOfSquares(Matrix x, double* partial) {
  partialSums(x, partial, [&](long long r, long long c) {
    double v = x.at<float>(r, c);
    return v * v;
  });
}

/** Σ x·y over all elements. */
extern "C" __global__ void sumOfProducts(Matrix x, Matrix y, double* partial) {
  partialSums(x, partial, [&](long long r, long long c) {
    return double(x.at<float>(r, c)) * double(y.at<float>(r, c));
  });
}

/** The number of NaN and infinite elements. */
extern "C" __global__ void countNonFinite(Matrix x, double* partial) {
  partialSums(x, partial, [&](long long r, long long c) {
    u32 bits = __float_as_uint(loadReal(x, x.index(r, c)));
    return (bits & 0x7f800000u) == 0x7f800000u ? 1.0 : 0.0;
  });
}

/** total = total + the partial sums. */
extern "C" __global__ void addPartialSums(const double* partial, int count, Matrix total) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += SUM_THREADS) {
    sum += partial[i];
  }
  sum = reduceBlock(sum, 0.0, Sum());
  if (threadIdx.x == 0) {
    total.at<double>(0, 0) += sum;
  }
}
