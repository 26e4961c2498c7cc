// Elements that a thread loads and stores at once. Four of two bytes each are what keeps memory busy:
// one by one, addresses are most of the instructions of a kernel that does little with an element.
#pragma once
#include "common.cuh"

static const int QUAD = 4;

/** W elements that lie one behind the other, at a multiple of their size. */
template <class T, int W>
struct alignas(W * sizeof(T)) Pack {
  T v[W];

  __device__ static Pack at(const T* p) { return *reinterpret_cast<const Pack*>(p); }

  /** f(x, …) of each element. */
  template <class F, class... Inputs>
  __device__ static Pack of(F f, const Inputs&... x) {
    Pack y;
#pragma unroll
    for (int i = 0; i < W; i++) {
      store(&y.v[i], f(load(&x.v[i])...));
    }
    return y;
  }

  __device__ void to(T* p) const { *reinterpret_cast<Pack*>(p) = *this; }
};

/** Whether all rows begin at a multiple of W elements. */
template <class T, int W>
__device__ inline bool inPacks(const Matrix& m) {
  u64 size = W * sizeof(T);
  return u64(m.data) % size == 0 && u64(m.rowStride) * sizeof(T) % size == 0;
}

template <class T>
__device__ inline bool inQuads(const Matrix& m) {
  return inPacks<T, QUAD>(m);
}
