// Normalisation of rows; a block takes one run of columns. y may be x.
#include "packs.cuh"

/** One run of n columns, W of which a thread takes at a time. */
template <class T, int W>
__device__ inline void rmsNormOfRun(const T* in, const T* gain, T* out, int n, float epsilon) {
  using PackOf = Pack<T, W>;
  float squares = 0;
  for (int c = W * threadIdx.x; c < n; c += W * blockDim.x) {
    PackOf x = PackOf::at(in + c);
#pragma unroll
    for (int i = 0; i < W; i++) {
      float v = load(&x.v[i]);
      squares = fmaf(v, v, squares);
    }
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  float factor = 1.0f / sqrtf(squares / n + epsilon);
  for (int c = W * threadIdx.x; c < n; c += W * blockDim.x) {
    PackOf::of([=](float v, float g) { return v * factor * g; }, PackOf::at(in + c),
               PackOf::at(gain + c))
        .to(out + c);
  }
}

/** y = x / √(mean(x²) + ε) · gain for each run of gain's columns. */
template <class T>
__device__ inline void rmsNormOf(Matrix x, Matrix gain, float epsilon, Matrix y) {
  int n = gain.columns;
  const T* in = x.row<T>(blockIdx.x) + (long long)blockIdx.y * n;
  T* out = y.row<T>(blockIdx.x) + (long long)blockIdx.y * n;
  if (n % QUAD == 0 && inQuads<T>(x) && inQuads<T>(gain) && inQuads<T>(y)) {
    rmsNormOfRun<T, QUAD>(in, gain.row<T>(0), out, n, epsilon);
  } else {
    rmsNormOfRun<T, 1>(in, gain.row<T>(0), out, n, epsilon);
  }
}
KERNEL_OF_ACTIVATIONS(rmsNorm, (Matrix x, Matrix gain, float epsilon, Matrix y),
                      (x, gain, epsilon, y))

/** One row of n columns, W of which a thread takes at a time. */
template <class T, int W>
__device__ inline void layerNormOfRow(const T* in, const T* gain, const T* bias, T* out, int n,
                                      float epsilon) {
  using PackOf = Pack<T, W>;
  float sum = 0;
  for (int c = W * threadIdx.x; c < n; c += W * blockDim.x) {
    PackOf x = PackOf::at(in + c);
#pragma unroll
    for (int i = 0; i < W; i++) {
      sum += load(&x.v[i]);
    }
  }
  float mean = reduceBlock(sum, 0.0f, Sum()) / n;
  float squares = 0;
  for (int c = W * threadIdx.x; c < n; c += W * blockDim.x) {
    PackOf x = PackOf::at(in + c);
#pragma unroll
    for (int i = 0; i < W; i++) {
      float d = load(&x.v[i]) - mean;
      squares = fmaf(d, d, squares);
    }
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  float factor = 1.0f / sqrtf(squares / n + epsilon);
  for (int c = W * threadIdx.x; c < n; c += W * blockDim.x) {
    PackOf::of([=](float v, float g, float b) { return fmaf((v - mean) * factor, g, b); },
               PackOf::at(in + c), PackOf::at(gain + c), PackOf::at(bias + c))
        .to(out + c);
  }
}

/** y = (x − mean) / √(var + ε) · gain + bias. */
template <class T>
__device__ inline void layerNormOf(Matrix x, Matrix gain, Matrix bias, float epsilon, Matrix y) {
  int n = x.columns;
  const T* in = x.row<T>(blockIdx.x);
  T* out = y.row<T>(blockIdx.x);
  if (n % QUAD == 0 && inQuads<T>(x) && inQuads<T>(gain) && inQuads<T>(bias) && inQuads<T>(y)) {
    layerNormOfRow<T, QUAD>(in, gain.row<T>(0), bias.row<T>(0), out, n, epsilon);
  } else {
    layerNormOfRow<T, 1>(in, gain.row<T>(0), bias.row<T>(0), out, n, epsilon);
  }
}
KERNEL_OF_ACTIVATIONS(layerNorm, (Matrix x, Matrix gain, Matrix bias, float epsilon, Matrix y),
                      (x, gain, bias, epsilon, y))
