// Activation functions and the other elementwise steps of a forward pass.
#include "elementwise.cuh"

/** Activation functions, numbered as dev.gptq.cuda.KernelCodes does. */
enum Function { SILU, GELU, GELU_TANH, RELU, RELU_SQUARED, SIGMOID, IDENTITY, ELU_EXCESS };

__device__ inline float activation(int function, float x) {
  switch (function) {
    case SILU:
      return x / (1.0f + expf(-x));
    case GELU:
      return 0.5f * x * erfcf(-0.70710678118654752f * x);
    case GELU_TANH:
      return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case RELU_SQUARED:
      return x > 0 ? x * x : 0;
    case SIGMOID:
      return 1.0f / (1.0f + expf(-x));
    case IDENTITY:
      return x;
    case ELU_EXCESS:
      return x < 0 ? expm1f(x) - x : 0;
    default:
      return x > 0 ? x : 0;
  }
}

/** y = f(x). */
template <class T>
__device__ inline void activateOf(int function, Matrix x, Matrix y) {
  mapElements<T>([=](float v) { return activation(function, v); }, y, x);
}
KERNEL_OF_ACTIVATIONS(activate, (int function, Matrix x, Matrix y), (function, x, y))

/** y = f(gate)·up. */
template <class T>
__device__ inline void gateOf(int function, Matrix gate, Matrix up, Matrix y) {
  mapElements<T>([=](float g, float u) { return activation(function, g) * u; }, y, gate, up);
}
KERNEL_OF_ACTIVATIONS(gate, (int function, Matrix gate, Matrix up, Matrix y),
                      (function, gate, up, y))

/** y = y + x. */
template <class T>
__device__ inline void addOf(Matrix x, Matrix y) {
  mapElements<T>([](float sum, float v) { return sum + v; }, y, y, x);
}
KERNEL_OF_ACTIVATIONS(add, (Matrix x, Matrix y), (x, y))

/** y[t] = y[t] + bias. */
template <class T>
__device__ inline void addBiasOf(Matrix bias, Matrix y) {
  bias.rowStride = 0;
  mapElements<T>([](float sum, float v) { return sum + v; }, y, y, bias);
}
KERNEL_OF_ACTIVATIONS(addBias, (Matrix bias, Matrix y), (bias, y))

/** x = factor·x. */
extern "C" __global__ void scale(float factor, Matrix x) {
  forEachElement(x, [&](long long r, long long c) {
    long long i = x.index(r, c);
    storeReal(x, i, factor * loadReal(x, i));
  });
}

/** x = min(max(x, low), high). */
extern "C" __global__ void clamp(float low, float high, Matrix x) {
  forEachElement(x, [&](long long r, long long c) {
    long long i = x.index(r, c);
    storeReal(x, i, fminf(fmaxf(loadReal(x, i), low), high));
  });
}

/** x = cap·tanh(x/cap). */
extern "C" __global__ void softCap(float cap, Matrix x) {
  forEachElement(x, [&](long long r, long long c) {
    long long i = x.index(r, c);
    storeReal(x, i, cap * tanhf(loadReal(x, i) / cap));
  });
}
