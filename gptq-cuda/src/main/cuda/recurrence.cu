// Convolutions over a few tokens, and states that are carried from token to token.
#include "elementwise.cuh"

/** The causal convolution of each column; rows before the first of a sequence are zeros. */
template <class T>
__device__ inline void convolveOf(Matrix x, Matrix weight, int inputs, int outputs, Matrix y) {
  forEachElement(y, [&](long long r, long long c) {
    long long start = r / outputs * inputs;
    int first = (int)(r % outputs) + inputs - outputs - weight.rows + 1;
    float sum = 0;
    for (int j = first < 0 ? -first : 0; j < weight.rows; j++) {
      sum = fmaf(load(&weight.at<T>(j, c)), load(&x.at<T>(start + first + j, c)), sum);
    }
    store(&y.at<T>(r, c), sum);
  });
}
KERNEL_OF_ACTIVATIONS(convolve, (Matrix x, Matrix weight, int inputs, int outputs, Matrix y),
                      (x, weight, inputs, outputs, y))

/** ln(1 + e^a). */
__device__ inline float logOnePlusExp(float a) {
  return fmaxf(a, 0.0f) + log1pf(expf(-fabsf(a)));
}

/** y = ln(1 + e^(x + shift)) between two bounds; y is float32. */
template <class T>
__device__ inline void softplusOf(Matrix x, Matrix shift, float low, float high, Matrix y) {
  forEachElement(y, [&](long long r, long long c) {
    float value = logOnePlusExp(load(&x.at<T>(r, c)) + shift.at<float>(0, c));
    y.at<float>(r, c) = fminf(fmaxf(value, low), high);
  });
}
KERNEL_OF_ACTIVATIONS(softplus, (Matrix x, Matrix shift, float low, float high, Matrix y),
                      (x, shift, low, high, y))

/** y = exp(-rate * ln(1 + e^(x + shift))); y is float32. */
template <class T>
__device__ inline void decayOf(Matrix x, Matrix shift, Matrix rate, Matrix y) {
  forEachElement(y, [&](long long r, long long c) {
    float a = load(&x.at<T>(r, c)) + shift.at<float>(0, c);
    y.at<float>(r, c) = expf(-rate.at<float>(0, c) * logOnePlusExp(a));
  });
}
KERNEL_OF_ACTIVATIONS(decay, (Matrix x, Matrix shift, Matrix rate, Matrix y), (x, shift, rate, y))

/**
 * The gated delta rule: blockIdx.x counts heads, blockIdx.z sequences, blockIdx.y runs of columns of
 * the state, of which a thread has one. Key and query of the token are in shared memory.
 */
template <class T>
__device__ inline void deltaRuleOf(Matrix q, Matrix k, Matrix v, Matrix decay, Matrix beta,
                                   Matrix state, int heads, int share, int keySize, int length,
                                   Matrix y) {
  DYNAMIC_SHARED(float, memory);
  float* key = memory;
  float* query = memory + keySize;
  int head = blockIdx.x;
  int column = blockIdx.y * blockDim.x + threadIdx.x;
  bool inside = column < state.columns;
  long long firstKey = (long long)(head / share) * keySize;
  float* s = state.row<float>(((long long)blockIdx.z * heads + head) * keySize) + column;
  for (int t = 0; t < length; t++) {
    long long row = (long long)blockIdx.z * length + t;
    for (int i = threadIdx.x; i < keySize; i += blockDim.x) {
      key[i] = load(k.row<T>(row) + firstKey + i);
      query[i] = load(q.row<T>(row) + firstKey + i);
    }
    __syncthreads();
    if (inside) {
      float gamma = decay.at<float>(row, head);
      float recalled = 0;
      for (int i = 0; i < keySize; i++) {
        float kept = gamma * s[i * state.rowStride];
        s[i * state.rowStride] = kept;
        recalled = fmaf(key[i], kept, recalled);
      }
      long long value = (long long)head * state.columns + column;
      float change = load(&beta.at<T>(row, head)) * (load(v.row<T>(row) + value) - recalled);
      float sum = 0;
      for (int i = 0; i < keySize; i++) {
        float next = fmaf(key[i], change, s[i * state.rowStride]);
        s[i * state.rowStride] = next;
        sum = fmaf(query[i], next, sum);
      }
      store(y.row<T>(row) + value, sum);
    }
    __syncthreads();
  }
}
KERNEL_OF_ACTIVATIONS(deltaRule,
                      (Matrix q, Matrix k, Matrix v, Matrix decay, Matrix beta, Matrix state,
                       int heads, int share, int keySize, int length, Matrix y),
                      (q, k, v, decay, beta, state, heads, share, keySize, length, y))

/**
 * A selective state space: blockIdx.x counts heads, blockIdx.z sequences, blockIdx.y runs of columns
 * of the state, of which a thread has one. Key and query of the token are in shared memory.
 */
template <class T>
__device__ inline void stateSpaceOf(Matrix q, Matrix k, Matrix v, Matrix step, Matrix rate,
                                    Matrix state, int heads, int share, int keySize, int length,
                                    Matrix y) {
  DYNAMIC_SHARED(float, memory);
  float* key = memory;
  float* query = memory + keySize;
  int head = blockIdx.x;
  int column = blockIdx.y * blockDim.x + threadIdx.x;
  bool inside = column < state.columns;
  long long firstKey = (long long)(head / share) * keySize;
  float* s = state.row<float>(((long long)blockIdx.z * heads + head) * keySize) + column;
  for (int t = 0; t < length; t++) {
    long long row = (long long)blockIdx.z * length + t;
    for (int i = threadIdx.x; i < keySize; i += blockDim.x) {
      key[i] = load(k.row<T>(row) + firstKey + i);
      query[i] = load(q.row<T>(row) + firstKey + i);
    }
    __syncthreads();
    if (inside) {
      float dt = step.at<float>(row, head);
      float kept = expf(-rate.at<float>(0, head) * dt);
      long long value = (long long)head * state.columns + column;
      float change = dt * load(v.row<T>(row) + value);
      float sum = 0;
      for (int i = 0; i < keySize; i++) {
        float next = fmaf(key[i], change, kept * s[i * state.rowStride]);
        s[i * state.rowStride] = next;
        sum = fmaf(query[i], next, sum);
      }
      store(y.row<T>(row) + value, sum);
    }
    __syncthreads();
  }
}
KERNEL_OF_ACTIVATIONS(stateSpace,
                      (Matrix q, Matrix k, Matrix v, Matrix step, Matrix rate, Matrix state,
                       int heads, int share, int keySize, int length, Matrix y),
                      (q, k, v, step, rate, state, heads, share, keySize, length, y))
