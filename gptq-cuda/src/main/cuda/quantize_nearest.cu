// codes = u(w): every weight rounded by itself; d = w − s·(u − z). Columns are contiguous.
#include "grid.cuh"

extern "C" __global__ void quantizeNearest(Matrix w, Matrix scale, Matrix zero, Matrix groupOf,
                                           GridSpec spec, Matrix codes) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < w.rows) {
    for (int c = blockIdx.y; c < w.columns; c += gridDim.y) {
      int group = groupOf.at<int>(0, c);
      codes.at<u8>(row, c) = u8(codeOf(w.at<float>(row, c), scale.at<float>(row, group),
                                       zero.at<float>(row, group), spec));
    }
  }
}

extern "C" __global__ void subtract(Matrix w, Matrix codes, Matrix scale, Matrix zero,
                                    Matrix groupOf, Matrix difference) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < w.rows) {
    for (int c = blockIdx.y; c < w.columns; c += gridDim.y) {
      int group = groupOf.at<int>(0, c);
      float value = valueOf(codes.at<u8>(row, c), scale.at<float>(row, group),
                            zero.at<float>(row, group));
      difference.at<float>(row, c) = __fsub_rn(w.at<float>(row, c), value);
    }
  }
}
