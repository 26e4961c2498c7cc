// How elementwise kernels cover a matrix whose rows are contiguous: a block takes a run of
// ELEMENTS columns of one row, blockIdx.x counts rows, blockIdx.y runs.
#pragma once
#include "packs.cuh"

static const int ELEMENT_THREADS = 256;
static const int ELEMENTS = 4 * ELEMENT_THREADS;

/** Calls f(row, column) for the elements of this thread. */
template <class F>
__device__ inline void forEachElement(const Matrix& m, F f) {
  long long row = blockIdx.x;
#pragma unroll
  for (int i = 0; i < ELEMENTS; i += ELEMENT_THREADS) {
    int column = blockIdx.y * ELEMENTS + i + threadIdx.x;
    if (column < m.columns) {
      f(row, column);
    }
  }
}

/** As mapElements, W elements at a time. */
template <class T, int W, class F, class... Inputs>
__device__ inline void mapPacks(F f, const Matrix& y, const Inputs&... x) {
  long long row = blockIdx.x;
#pragma unroll
  for (int i = 0; i < ELEMENTS; i += W * ELEMENT_THREADS) {
    int column = blockIdx.y * ELEMENTS + i + W * threadIdx.x;
    if (column < y.columns) {
      Pack<T, W>::of(f, Pack<T, W>::at(x.template row<T>(row) + column)...)
          .to(y.row<T>(row) + column);
    }
  }
}

/** y = f(x, …) for each element, of matrices with contiguous rows; y may be one of them. */
template <class T, class F, class... Inputs>
__device__ inline void mapElements(F f, const Matrix& y, const Inputs&... x) {
  if (y.columns % QUAD == 0 && inQuads<T>(y) && (inQuads<T>(x) && ...)) {
    mapPacks<T, QUAD>(f, y, x...);
  } else {
    mapPacks<T, 1>(f, y, x...);
  }
}
