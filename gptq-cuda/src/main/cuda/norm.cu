// Normalisation of rows; a block takes one run of columns. y may be x.
#include "common.cuh"

/** y = x / √(mean(x²) + ε) · gain for each run of gain's columns. */
template <class T>
__device__ inline void rmsNormOf(Matrix x, Matrix gain, float epsilon, Matrix y) {
  int n = gain.columns;
  const T* in = x.row<T>(blockIdx.x) + (long long)blockIdx.y * n;
  T* out = y.row<T>(blockIdx.x) + (long long)blockIdx.y * n;
  float squares = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float v = load(in + c);
    squares = fmaf(v, v, squares);
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  float factor = 1.0f / sqrtf(squares / n + epsilon);
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    store(out + c, load(in + c) * factor * load(&gain.at<T>(0, c)));
  }
}
KERNEL_OF_ACTIVATIONS(rmsNorm, (Matrix x, Matrix gain, float epsilon, Matrix y),
                      (x, gain, epsilon, y))

/** y = (x − mean) / √(var + ε) · gain + bias. */
template <class T>
__device__ inline void layerNormOf(Matrix x, Matrix gain, Matrix bias, float epsilon, Matrix y) {
  int n = x.columns;
  const T* in = x.row<T>(blockIdx.x);
  T* out = y.row<T>(blockIdx.x);
  float sum = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    sum += load(in + c);
  }
  float mean = reduceBlock(sum, 0.0f, Sum()) / n;
  float squares = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float d = load(in + c) - mean;
    squares = fmaf(d, d, squares);
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  float factor = 1.0f / sqrtf(squares / n + epsilon);
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float v = (load(in + c) - mean) * factor;
    store(out + c, fmaf(v, load(&gain.at<T>(0, c)), load(&bias.at<T>(0, c))));
  }
}
KERNEL_OF_ACTIVATIONS(layerNorm, (Matrix x, Matrix gain, Matrix bias, float epsilon, Matrix y),
                      (x, gain, bias, epsilon, y))
