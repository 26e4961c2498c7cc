// codes = u(w): every weight rounded by itself; d = w − s·(u − z). Columns are contiguous: a thread
// takes four neighbours of each of four columns, at once where columns begin at multiples of four.
#include "grid.cuh"
#include "packs.cuh"

static const int WEIGHT_COLUMNS = 4;

/** W neighbouring rows of four columns, from a row and a column on. */
template <class T, int W>
struct Few {
  Pack<T, W> column[WEIGHT_COLUMNS];

  __device__ static Few at(const Matrix& m, int row, int first) {
    Few few;
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < m.columns) {
        few.column[i] = Pack<T, W>::at(&m.at<T>(row, first + i));
      }
    }
    return few;
  }
};

/** The grids of weights. */
struct WeightGrids {
  const Matrix& scale;
  const Matrix& zero;
  const Matrix& groupOf;

  /** Calls f(i, scales, zeros) for column i of a few. Those of a group are loaded once. */
  template <int W, class F>
  __device__ void forEachColumn(int row, int first, F f) const {
    int group = -1;
    float s[W];
    float z[W];
#pragma unroll
    for (int i = 0; i < WEIGHT_COLUMNS; i++) {
      if (first + i < groupOf.columns) {
        int next = groupOf.at<int>(0, first + i);
        if (next != group) {
          group = next;
#pragma unroll
          for (int k = 0; k < W; k++) {
            s[k] = scale.at<float>(row + k, group);
            z[k] = zero.at<float>(row + k, group);
          }
        }
        f(i, s, z);
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
__device__ inline void quantizeFew(const Matrix& w, const WeightGrids& grids, const GridSpec& spec,
                                   const Matrix& codes) {
  forEachFew<W>(w, [&](int row, int first) {
    Few<float, W> x = Few<float, W>::at(w, row, first);
    grids.forEachColumn<W>(row, first, [&](int i, const float* s, const float* z) {
      Pack<u8, W> u;
#pragma unroll
      for (int k = 0; k < W; k++) {
        u.v[k] = u8(codeOf(x.column[i].v[k], s[k], z[k], spec));
      }
      u.to(&codes.at<u8>(row, first + i));
    });
  });
}

extern "C" __global__ void quantizeNearest(Matrix w, Matrix scale, Matrix zero, Matrix groupOf,
                                           GridSpec spec, Matrix codes) {
  WeightGrids grids = {scale, zero, groupOf};
  if (columnsInQuads<float>(w) && columnsInQuads<u8>(codes)) {
    quantizeFew<QUAD>(w, grids, spec, codes);
  } else {
    quantizeFew<1>(w, grids, spec, codes);
  }
}

template <int W>
__device__ inline void subtractFew(const Matrix& w, const Matrix& codes, const WeightGrids& grids,
                                   const Matrix& difference) {
  forEachFew<W>(w, [&](int row, int first) {
    // All of them before the first is stored: the difference may be w.
    Few<float, W> x = Few<float, W>::at(w, row, first);
    Few<u8, W> u = Few<u8, W>::at(codes, row, first);
    grids.forEachColumn<W>(row, first, [&](int i, const float* s, const float* z) {
      Pack<float, W> d;
#pragma unroll
      for (int k = 0; k < W; k++) {
        d.v[k] = __fsub_rn(x.column[i].v[k], valueOf(u.column[i].v[k], s[k], z[k]));
      }
      d.to(&difference.at<float>(row, first + i));
    });
  });
}

extern "C" __global__ void subtract(Matrix w, Matrix codes, Matrix scale, Matrix zero,
                                    Matrix groupOf, Matrix difference) {
  WeightGrids grids = {scale, zero, groupOf};
  if (columnsInQuads<float>(w) && columnsInQuads<u8>(codes) && columnsInQuads<float>(difference)) {
    subtractFew<QUAD>(w, codes, grids, difference);
  } else {
    subtractFew<1>(w, codes, grids, difference);
  }
}
