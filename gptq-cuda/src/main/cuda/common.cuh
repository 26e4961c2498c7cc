// What every kernel shares: matrices as the host describes them, element types, reductions.
//
// No header of CUDA's is included, so that the run-time compiler needs none. Where a GPU instruction
// has no portable spelling it is wrapped here; the host shim of the tests defines these wrappers for
// an ordinary C++ compiler.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/** A bfloat16: the upper half of a binary32. */
struct bf16 {
  u16 bits;
};

/** Element types, numbered as dev.gptq.cuda.KernelCodes does. */
enum Type { F64, F32, F16, BF16, I32, U8 };

/** A matrix in device memory; strides count elements, one of them is 1. */
struct Matrix {
  void* data;
  long long rowStride;
  long long columnStride;
  int rows;
  int columns;
  int type;
  int reserved;

  __device__ long long index(long long row, long long column) const {
    return row * rowStride + column * columnStride;
  }

  template <class T>
  __device__ T& at(long long row, long long column) const {
    return static_cast<T*>(data)[index(row, column)];
  }

  /** The start of a row of a matrix whose rows are contiguous. */
  template <class T>
  __device__ T* row(long long r) const {
    return static_cast<T*>(data) + r * rowStride;
  }
};

#ifndef GPTQ_HOST_SHIM
/** A structure in the parameters that is read by index. */
#define GRID_CONSTANT __grid_constant__

/** Whether it holds for a lane of the warp. */
__device__ inline bool anyOfWarp(bool it) { return __any_sync(~0u, it); }

__device__ inline unsigned char* dynamicShared() {
  extern __shared__ __align__(1024) unsigned char bytes[];
  return bytes;
}

/** The dynamic shared memory of a block. */
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(dynamicShared())

__device__ inline float halfToFloat(u16 bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

__device__ inline u16 floatToHalf(float value) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

__device__ inline u16 floatToBfloat(float value) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
#endif

__device__ inline float bfloatToFloat(u16 bits) { return __uint_as_float(u32(bits) << 16); }

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const bf16* p) { return bfloatToFloat(p->bits); }
__device__ inline void store(float* p, float value) { *p = value; }
__device__ inline void store(bf16* p, float value) { p->bits = floatToBfloat(value); }

/** An element of a matrix of any real type. */
__device__ inline float loadReal(const Matrix& m, long long index) {
  switch (m.type) {
    case F32:
      return static_cast<const float*>(m.data)[index];
    case F16:
      return halfToFloat(static_cast<const u16*>(m.data)[index]);
    default:
      return bfloatToFloat(static_cast<const u16*>(m.data)[index]);
  }
}

/** Rounds to the matrix's type, to nearest even. */
__device__ inline void storeReal(const Matrix& m, long long index, float value) {
  switch (m.type) {
    case F32:
      static_cast<float*>(m.data)[index] = value;
      break;
    case F16:
      static_cast<u16*>(m.data)[index] = floatToHalf(value);
      break;
    default:
      static_cast<u16*>(m.data)[index] = floatToBfloat(value);
  }
}

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

/** Combines a value of every lane of the warp; all lanes get the result. */
template <class T, class Op>
__device__ T reduceWarp(T value, Op op) {
  for (int distance = 16; distance > 0; distance >>= 1) {
    value = op(value, __shfl_xor_sync(~0u, value, distance));
  }
  return value;
}

/** Combines a value of every thread of the block, whole warps, in a fixed order; all get it. */
template <class T, class Op>
__device__ T reduceBlock(T value, T neutral, Op op) {
  __shared__ T ofWarp[32];
  int lane = threadIdx.x & 31;
  int warps = blockDim.x >> 5;
  value = reduceWarp(value, op);
  __syncthreads();
  if (lane == 0) {
    ofWarp[threadIdx.x >> 5] = value;
  }
  __syncthreads();
  return reduceWarp(lane < warps ? ofWarp[lane] : neutral, op);
}

/** Defines the kernels of an operation for both activation types: name_f32 and name_bf16. */
#define KERNEL_OF_ACTIVATIONS(name, parameters, arguments)                        \
  extern "C" __global__ void name##_f32 parameters { name##Of<float> arguments; } \
  extern "C" __global__ void name##_bf16 parameters { name##Of<bf16> arguments; }
