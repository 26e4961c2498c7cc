// codes = u(w): every weight rounded by itself; d = w − s·(u − z). Columns are contiguous: a thread
// takes four neighbours of each of four columns, at once where columns begin at multiples of four.
#include "grid.cuh"
#include "packs.cuh"

static const int WEIGHT_COLUMNS = 4;

/** The grids of W neighbouring rows in the group that was asked for last. */
template <int W>
struct GridsOfRows {
  int group = -1;
  float scale[W];
  float zero[W];

  __device__ void turnTo(int to, const Matrix& scales, const Matrix& zeros, int row) {
    if (to != group) {
      group = to;
#pragma unroll
      for (int i = 0; i < W; i++) {
        scale[i] = scales.at<float>(row + i, to);
        zero[i] = zeros.at<float>(row + i, to);
      }
    }
  }
};

/** Whether all columns begin at a multiple of four elements and end at one. */
template <class T>
__device__ inline bool columnsInQuads(Matrix m) {
  m.rowStride = m.columnStride;
  return m.rows % QUAD == 0 && inQuads<T>(m);
}

/** Calls f(row, first column) for what a thread owns, W rows at a time. */
template <int W, class F>
__device__ inline void forEachFew(const Matrix& w, F f) {
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * QUAD;
  for (int row = first; row < first + QUAD && row < w.rows; row += W) {
    for (int c = blockIdx.y * WEIGHT_COLUMNS; c < w.columns; c += gridDim.y * WEIGHT_COLUMNS) {
      f(row, c);
    }
  }
}

template <int W>
__device__ inline void quantizeFew(const Matrix& w, const Matrix& scale, const Matrix& zero,
                                   const Matrix& groupOf, const GridSpec& spec,
                                   const Matrix& codes) {
  forEachFew<W>(w, [&](int row, int first) {
    GridsOfRows<W> grids;
    Pack<float, W> x[WEIGHT_COLUMNS];
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < w.columns) {
        x[i] = Pack<float, W>::at(&w.at<float>(row, first + i));
      }
    }
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < w.columns) {
        grids.turnTo(groupOf.at<int>(0, first + i), scale, zero, row);
        Pack<u8, W> u;
#pragma unroll
        for (int k = 0; k < W; k++) {
          u.v[k] = u8(codeOf(x[i].v[k], grids.scale[k], grids.zero[k], spec));
        }
        u.to(&codes.at<u8>(row, first + i));
      }
    }
  });
}

extern "C" __global__ void quantizeNearest(Matrix w, Matrix scale, Matrix zero, Matrix groupOf,
                                           GridSpec spec, Matrix codes) {
  if (columnsInQuads<float>(w) && columnsInQuads<u8>(codes)) {
    quantizeFew<QUAD>(w, scale, zero, groupOf, spec, codes);
  } else {
    quantizeFew<1>(w, scale, zero, groupOf, spec, codes);
  }
}

template <int W>
__device__ inline void subtractFew(const Matrix& w, const Matrix& codes, const Matrix& scale,
                                   const Matrix& zero, const Matrix& groupOf,
                                   const Matrix& difference) {
  forEachFew<W>(w, [&](int row, int first) {
    GridsOfRows<W> grids;
    // All of them before the first is stored: the difference may be w.
    Pack<float, W> x[WEIGHT_COLUMNS];
    Pack<u8, W> u[WEIGHT_COLUMNS];
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < w.columns) {
        x[i] = Pack<float, W>::at(&w.at<float>(row, first + i));
        u[i] = Pack<u8, W>::at(&codes.at<u8>(row, first + i));
      }
    }
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < w.columns) {
        grids.turnTo(groupOf.at<int>(0, first + i), scale, zero, row);
#pragma unroll
        for (int k = 0; k < W; k++) {
          float value = valueOf(u[i].v[k], grids.scale[k], grids.zero[k]);
          x[i].v[k] = __fsub_rn(x[i].v[k], value);
        }
        x[i].to(&difference.at<float>(row, first + i));
      }
    }
  });
}

extern "C" __global__ void subtract(Matrix w, Matrix codes, Matrix scale, Matrix zero,
                                    Matrix groupOf, Matrix difference) {
  if (columnsInQuads<float>(w) && columnsInQuads<u8>(codes) && columnsInQuads<float>(difference)) {
    subtractFew<QUAD>(w, codes, scale, zero, groupOf, difference);
  } else {
    subtractFew<1>(w, codes, scale, zero, groupOf, difference);
  }
}
