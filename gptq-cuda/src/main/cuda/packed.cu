// Products with packed weights: W[o][i] = s[o][g]·(u[o][i] − z[o][g]). Word w of output o stands at
// words[w·out + o]; 32 codes of b bits fill exactly b words, so work goes in units of 32 inputs.
#pragma once
#include "common.cuh"

/** Packed weights in device memory. */
struct Packed {
  const u32* words;
  const float* scales;
  const float* zeros;
  const int* groupOf;
  int out;
  int in;
  /** Inputs a group if groups are contiguous and whole units, else 0. */
  int groupSize;
  float fixedZero;
};

static const int UNIT = 32;

/** Code k of a unit; k is known when this is compiled. */
template <int BITS>
__device__ inline u32 codeIn(const u32* words, int k) {
  int bit = k * BITS;
  int word = bit >> 5;
  int shift = bit & 31;
  u32 value = words[word] >> shift;
  if (shift + BITS > 32) {
    value |= words[word + 1] << (32 - shift);
  }
  return value & ((1u << BITS) - 1);
}

/** The code of output o and input i; it may lie across two words. */
template <int BITS>
__device__ inline u32 codeAt(const u32* words, int out, int o, int i) {
  long long bit = (long long)i * BITS;
  const u32* word = words + (bit >> 5) * out + o;
  int shift = int(bit & 31);
  u32 value = word[0] >> shift;
  if (shift + BITS > 32) {
    value |= word[out] << (32 - shift);
  }
  return value & ((1u << BITS) - 1);
}

/** The words of a unit of one output; zeros beyond the last. */
template <int BITS>
__device__ inline void loadUnit(const Packed& p, int unit, int o, u32* words) {
  int count = int(((long long)p.in * BITS + 31) / 32);
#pragma unroll
  for (int i = 0; i < BITS; i++) {
    int w = unit * BITS + i;
    words[i] = w < count ? p.words[(long long)w * p.out + o] : 0u;
  }
}

__device__ inline float zeroOf(const Packed& p, int group, int o) {
  return p.zeros ? p.zeros[(long long)group * p.out + o] : p.fixedZero;
}

static const int DECODE_WARPS = 8;

/**
 * Partial sums over a slice of the inputs: partial[slice][t][o] for TOKENS rows of x from `first`.
 * A lane takes one output, a warp of the block every 8th unit of the block's slice, so that words
 * are read along outputs and x is a broadcast. Slices are added up by addSlices, in order.
 */
template <class T, int BITS, int TOKENS>
__device__ inline void decodeOf(Matrix x, Packed p, int first, int unitsOfSlice, float* partial) {
  __shared__ float sums[DECODE_WARPS][TOKENS][32];
  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int o = blockIdx.x * 32 + lane;
  int column = o < p.out ? o : p.out - 1;
  int units = (p.in + UNIT - 1) / UNIT;
  int from = blockIdx.y * unitsOfSlice;
  int to = units - from < unitsOfSlice ? units : from + unitsOfSlice;
  float sum[TOKENS] = {};
  const T* rows[TOKENS];
#pragma unroll
  for (int t = 0; t < TOKENS; t++) {
    rows[t] = x.row<T>(first + t < x.rows ? first + t : x.rows - 1);
  }
  for (int unit = from + warp; unit < to; unit += DECODE_WARPS) {
    u32 words[BITS];
    loadUnit<BITS>(p, unit, column, words);
    int start = unit * UNIT;
    if (p.groupSize > 0) {
      int group = start / p.groupSize;
      float zero = zeroOf(p, group, column);
      float part[TOKENS] = {};
#pragma unroll
      for (int k = 0; k < UNIT; k++) {
        float code = float(codeIn<BITS>(words, k)) - zero;
#pragma unroll
        for (int t = 0; t < TOKENS; t++) {
          part[t] = fmaf(load(rows[t] + start + k), code, part[t]);
        }
      }
      float scale = p.scales[(long long)group * p.out + column];
#pragma unroll
      for (int t = 0; t < TOKENS; t++) {
        sum[t] = fmaf(scale, part[t], sum[t]);
      }
    } else {
#pragma unroll
      for (int k = 0; k < UNIT; k++) {
        if (start + k < p.in) {
          int group = p.groupOf[start + k];
          float scale = p.scales[(long long)group * p.out + column];
          float weight = scale * (float(codeIn<BITS>(words, k)) - zeroOf(p, group, column));
#pragma unroll
          for (int t = 0; t < TOKENS; t++) {
            sum[t] = fmaf(load(rows[t] + start + k), weight, sum[t]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int t = 0; t < TOKENS; t++) {
    sums[warp][t][lane] = sum[t];
  }
  __syncthreads();
  for (int t = warp; t < TOKENS; t += DECODE_WARPS) {
    float total = 0;
    for (int w = 0; w < DECODE_WARPS; w++) {
      total += sums[w][t][lane];
    }
    if (o < p.out) {
      partial[((long long)blockIdx.y * TOKENS + t) * p.out + o] = total;
    }
  }
}

/** y[first + t] = Σ over slices of partial[slice][t]. */
template <class T>
__device__ inline void addSlicesOf(const float* partial, int slices, int tokens, int first,
                                   Matrix y) {
  int o = blockIdx.x * blockDim.x + threadIdx.x;
  int t = blockIdx.y;
  if (o < y.columns) {
    float sum = 0;
    for (int s = 0; s < slices; s++) {
      sum += partial[((long long)s * tokens + t) * y.columns + o];
    }
    store(&y.at<T>(first + t, o), sum);
  }
}
KERNEL_OF_ACTIVATIONS(addSlices, (const float* partial, int slices, int tokens, int first, Matrix y),
                      (partial, slices, tokens, first, y))

/** w[i][o − first] = W[o][i] as activations, for a dense product; w has contiguous rows. */
template <class T, int BITS>
__device__ inline void unpackOf(Packed p, int first, Matrix w) {
  int o = blockIdx.x * blockDim.x + threadIdx.x;
  if (o >= w.columns) {
    return;
  }
  int unit = blockIdx.y;
  u32 words[BITS];
  loadUnit<BITS>(p, unit, first + o, words);
  int start = unit * UNIT;
  int group = p.groupSize > 0 ? start / p.groupSize : 0;
  float scale = p.scales[(long long)group * p.out + first + o];
  float zero = zeroOf(p, group, first + o);
  T* to = &w.at<T>(start, o);
#pragma unroll
  for (int k = 0; k < UNIT; k++) {
    if (start + k < p.in) {
      if (p.groupSize == 0) {
        group = p.groupOf[start + k];
        scale = p.scales[(long long)group * p.out + first + o];
        zero = zeroOf(p, group, first + o);
      }
      store(to, scale * (float(codeIn<BITS>(words, k)) - zero));
    }
    to += w.rowStride;
  }
}

#define PACKED_DECODE(type, name, bits, tokens)                                              \
  extern "C" __global__ void decode_##name##_##bits##_##tokens(                              \
      Matrix x, Packed p, int first, int unitsOfSlice, float* partial) {                     \
    decodeOf<type, bits, tokens>(x, p, first, unitsOfSlice, partial);                        \
  }
#define PACKED_OF(type, name, bits)                                                          \
  PACKED_DECODE(type, name, bits, 1)                                                         \
  PACKED_DECODE(type, name, bits, 4)                                                         \
  extern "C" __global__ void unpack_##name##_##bits(Packed p, int first, Matrix w) {         \
    unpackOf<type, bits>(p, first, w);                                                       \
  }
#define PACKED_OF_TYPES(bits)  \
  PACKED_OF(float, f32, bits)  \
  PACKED_OF(bf16, bf16, bits)
PACKED_OF_TYPES(2)
PACKED_OF_TYPES(3)
PACKED_OF_TYPES(4)
PACKED_OF_TYPES(5)
PACKED_OF_TYPES(6)
PACKED_OF_TYPES(7)
PACKED_OF_TYPES(8)
