// dst = src between real types and layouts, rounded to nearest even. dst has contiguous rows; where
// src has contiguous columns, tiles of 32 × 32 are transposed in shared memory. Where it has contiguous
// rows, too, a thread takes eight neighbours of a row, by 16 bytes where they begin at such.
#include "common.cuh"

static const int CONVERT_TILE = 32;
static const int CONVERT_RUN = 8;
static const int CONVERT_LANES = 16;
static const int CONVERT_PASSES = 4;

struct alignas(16) ConvertFloats {
  float v[4];
};

struct alignas(16) ConvertHalves {
  u16 v[CONVERT_RUN];
};

/** Whether all rows begin at 16 bytes. */
__device__ inline bool inSixteens(const Matrix& m) {
  int bytes = m.type == F32 ? 4 : 2;
  return ((u64(m.data) | u64(m.rowStride * bytes)) & 15) == 0;
}

__device__ inline void loadRun(const Matrix& m, long long at, float* x) {
  if (m.type == F32) {
    const ConvertFloats* from =
        reinterpret_cast<const ConvertFloats*>(static_cast<float*>(m.data) + at);
    ConvertFloats low = from[0];
    ConvertFloats high = from[1];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      x[i] = low.v[i];
      x[4 + i] = high.v[i];
    }
  } else {
    ConvertHalves run = *reinterpret_cast<const ConvertHalves*>(static_cast<u16*>(m.data) + at);
#pragma unroll
    for (int i = 0; i < CONVERT_RUN; i++) {
      x[i] = m.type == F16 ? halfToFloat(run.v[i]) : bfloatToFloat(run.v[i]);
    }
  }
}

__device__ inline void storeRun(const Matrix& m, long long at, const float* x) {
  if (m.type == F32) {
    ConvertFloats* to = reinterpret_cast<ConvertFloats*>(static_cast<float*>(m.data) + at);
    to[0] = {x[0], x[1], x[2], x[3]};
    to[1] = {x[4], x[5], x[6], x[7]};
  } else {
    ConvertHalves run;
#pragma unroll
    for (int i = 0; i < CONVERT_RUN; i++) {
      run.v[i] = m.type == F16 ? floatToHalf(x[i]) : floatToBfloat(x[i]);
    }
    *reinterpret_cast<ConvertHalves*>(static_cast<u16*>(m.data) + at) = run;
  }
}

extern "C" __global__ void convertRows(Matrix src, Matrix dst) {
  bool sixteens = inSixteens(src) && inSixteens(dst);
  int column = (blockIdx.y * CONVERT_LANES + threadIdx.x) * CONVERT_RUN;
  long long first = (long long)blockIdx.x * CONVERT_PASSES * blockDim.y + threadIdx.y;
  if (sixteens && column + CONVERT_RUN <= dst.columns) {
    float x[CONVERT_PASSES][CONVERT_RUN];
#pragma unroll
    for (int i = 0; i < CONVERT_PASSES; i++) {
      long long row = first + i * blockDim.y;
      if (row < dst.rows) {
        loadRun(src, src.index(row, column), x[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < CONVERT_PASSES; i++) {
      long long row = first + i * blockDim.y;
      if (row < dst.rows) {
        storeRun(dst, dst.index(row, column), x[i]);
      }
    }
    return;
  }
  for (int i = 0; i < CONVERT_PASSES; i++) {
    long long row = first + i * blockDim.y;
    for (int c = column; row < dst.rows && c < column + CONVERT_RUN && c < dst.columns; c++) {
      storeReal(dst, dst.index(row, c), loadReal(src, src.index(row, c)));
    }
  }
}

extern "C" __global__ void convert(Matrix src, Matrix dst) {
  __shared__ float tile[CONVERT_TILE][CONVERT_TILE + 1];
  int firstRow = blockIdx.x * CONVERT_TILE;
  int firstColumn = blockIdx.y * CONVERT_TILE;
  int from = firstRow + threadIdx.x;
  for (int i = threadIdx.y; i < CONVERT_TILE; i += blockDim.y) {
    if (from < src.rows && firstColumn + i < src.columns) {
      tile[threadIdx.x][i] = loadReal(src, src.index(from, firstColumn + i));
    }
  }
  __syncthreads();
  int column = firstColumn + threadIdx.x;
  for (int i = threadIdx.y; i < CONVERT_TILE; i += blockDim.y) {
    int row = firstRow + i;
    if (row < dst.rows && column < dst.columns) {
      storeReal(dst, dst.index(row, column), tile[i][threadIdx.x]);
    }
  }
}
