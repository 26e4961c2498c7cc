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

/** y[t] = x[index[t]]. */
template <class T>
__device__ inline void gatherRowsOf(Matrix x, Matrix index, Matrix y) {
  long long from = index.at<int>(0, blockIdx.x);
  forEachElement(y, [&](long long t, long long c) { y.at<T>(t, c) = x.at<T>(from, c); });
}
KERNEL_OF_ACTIVATIONS(gatherRows, (Matrix x, Matrix index, Matrix y), (x, index, y))

/** y[index[t]] = y[index[t]] + weight[t]·x[t]; the index has no repeats. */
template <class T>
__device__ inline void scatterAddRowsOf(Matrix x, Matrix index, Matrix weight, Matrix y) {
  long long to = index.at<int>(0, blockIdx.x);
  float factor = weight.at<float>(0, blockIdx.x);
  forEachElement(x, [&](long long t, long long c) {
    T* p = &y.at<T>(to, c);
    store(p, fmaf(factor, load(&x.at<T>(t, c)), load(p)));
  });
}
KERNEL_OF_ACTIVATIONS(scatterAddRows, (Matrix x, Matrix index, Matrix weight, Matrix y),
                      (x, index, weight, y))
