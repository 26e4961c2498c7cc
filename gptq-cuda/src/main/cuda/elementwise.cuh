// How elementwise kernels cover a matrix whose rows are contiguous: a block takes a run of
// ELEMENTS columns of one row, blockIdx.x counts rows, blockIdx.y runs.
#pragma once
#include "common.cuh"

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
