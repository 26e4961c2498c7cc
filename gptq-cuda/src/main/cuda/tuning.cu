// Tuning of codes and scales by the sign of their gradient: dev.gptq.backend.TuningOps. Columns are
// contiguous, a thread takes a row; blockIdx.y counts columns, or groups, whose columns it takes in
// their order.
#include "grid.cuh"

static const float MOST_OFFSET = 1.5f;
static const float MOST_BEGINNING = 0.49f;
static const float LEAST_FACTOR = 0.5f;
static const float MOST_FACTOR = 1.5f;

__device__ inline float clampTo(float x, float least, float most) {
  return x < least ? least : x > most ? most : x;
}

__device__ inline float signOf(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }

/** v = clamp(((w / s + z) − u) / 2, −0.49, 0.49). */
extern "C" __global__ void beginOffsets(Matrix w, Matrix codes, Matrix scale, Matrix zero,
                                        Matrix groupOf, Matrix offsets) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < codes.rows) {
    for (int c = blockIdx.y; c < codes.columns; c += gridDim.y) {
      int group = groupOf.at<int>(0, c);
      float place = __fadd_rn(__fdiv_rn(w.at<float>(row, c), scale.at<float>(row, group)),
                              zero.at<float>(row, group));
      float half = __fmul_rn(__fsub_rn(place, float(codes.at<u8>(row, c))), 0.5f);
      offsets.at<float>(row, c) = clampTo(half, -MOST_BEGINNING, MOST_BEGINNING);
    }
  }
}

/** One step of the offsets and the factor of each row and group. */
extern "C" __global__ void descendOffsets(Matrix gradient, Matrix codes, Matrix scale, Matrix zero,
                                          Matrix groupOf, GridSpec spec, float step,
                                          float scaleStep, Matrix offsets, Matrix factors) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= codes.rows) {
    return;
  }
  float least = float(spec.minCode);
  float most = float(spec.maxCode);
  for (int group = blockIdx.y; group < scale.columns; group += gridDim.y) {
    float z = zero.at<float>(row, group);
    float sign = signOf(scale.at<float>(row, group));
    float slope = 0;
    for (int c = 0; c < codes.columns; c++) {
      if (groupOf.at<int>(0, c) == group) {
        float d = gradient.at<float>(row, c);
        float u = float(codes.at<u8>(row, c));
        float v = offsets.at<float>(row, c);
        float k = clampTo(rintf(__fadd_rn(u, v)), least, most);
        slope = __fmaf_rn(d, __fsub_rn(k, z), slope);
        float lowest = fmaxf(-MOST_OFFSET, least - 0.5f - u);
        float highest = fminf(MOST_OFFSET, most + 0.5f - u);
        float moved = __fsub_rn(v, __fmul_rn(step, signOf(d) * sign));
        offsets.at<float>(row, c) = fmaxf(lowest, fminf(highest, moved));
      }
    }
    float moved = __fsub_rn(factors.at<float>(row, group), __fmul_rn(scaleStep, signOf(slope) * sign));
    factors.at<float>(row, group) = clampTo(moved, LEAST_FACTOR, MOST_FACTOR);
  }
}

/** k = clamp(rint(u + v), minCode, maxCode). */
extern "C" __global__ void roundOffsets(Matrix codes, GridSpec spec, Matrix offsets,
                                        Matrix tunedCodes) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < codes.rows) {
    for (int c = blockIdx.y; c < codes.columns; c += gridDim.y) {
      float place = __fadd_rn(float(codes.at<u8>(row, c)), offsets.at<float>(row, c));
      tunedCodes.at<u8>(row, c) = u8(clampCode(rintf(place), spec));
    }
  }
}

/** s' = R(f·s). */
extern "C" __global__ void roundFactors(Matrix scale, Matrix factors, GridSpec spec,
                                        Matrix tunedScale) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < scale.rows) {
    for (int group = blockIdx.y; group < scale.columns; group += gridDim.y) {
      float tuned = __fmul_rn(factors.at<float>(row, group), scale.at<float>(row, group));
      tunedScale.at<float>(row, group) = roundScale(tuned, spec);
    }
  }
}
