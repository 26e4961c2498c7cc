// Causal attention with an online softmax: y = softmax(scale·q·kᵀ + mask)·v for one tile of queries
// of one head of one sequence a block. Scores never leave the chip. All arithmetic is float32; the
// tensor-core version for bfloat16 is in attention_mma.cu.
//
// A warp takes 4 queries, or 2 where heads have more than 256 channels; there the values take the
// place of the keys, so that 99 KiB of shared memory are enough for 512. For scores a lane holds a
// key, for the output a lane holds channels.
#pragma once
#include "common.cuh"

static const int ATTENTION_KEYS = 32;
static const int ATTENTION_WARPS = 8;

/** A dev.gptq.backend.AttentionSpec and the lengths of a sequence. */
struct Attention {
  int heads;
  int share;
  int headSize;
  int window;
  int queries;
  int keys;
  float alibi;
  float scale;
  float softCap;
  // One more score in the softmax of each head, which has no value; null if there are none.
  const float* sinks;
};

/** The ALiBi slope of a head: 2^(−8(i+1)/n) for a power of two n of heads. */
__device__ inline float alibiSlope(int head, int heads) {
  int n = 1;
  while (2 * n <= heads) {
    n *= 2;
  }
  float exponent = head < n ? -8.0f * (head + 1) / n : -4.0f * (2 * (head - n) + 1) / n;
  return exp2f(exponent);
}

/** The score after scaling, soft cap and ALiBi; key − query is `distance`. */
__device__ inline float finishScore(float dot, const Attention& spec, float slope, int distance) {
  float score = dot * spec.scale;
  if (spec.softCap > 0) {
    score = spec.softCap * tanhf(score / spec.softCap);
  }
  return score + slope * distance;
}

template <class T, int CHANNELS, int WARP_QUERIES, bool APART>
__device__ inline void attentionOf(Matrix q, Matrix k, Matrix v, Attention spec, Matrix y) {
  DYNAMIC_SHARED(float, memory);
  const float infinity = __uint_as_float(0x7f800000u);
  const int QUERIES = ATTENTION_WARPS * WARP_QUERIES;
  int size = spec.headSize;
  float* queries = memory;
  float* keys = queries + QUERIES * size;
  float* values = APART ? keys + ATTENTION_KEYS * (size + 1) : keys;

  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int head = blockIdx.y;
  long long firstQuery = (long long)blockIdx.z * spec.queries;
  long long firstKey = (long long)blockIdx.z * spec.keys;
  int tile = blockIdx.x * QUERIES;
  int offset = spec.keys - spec.queries;
  float slope = spec.alibi * alibiSlope(head, spec.heads);
  long long qColumn = (long long)head * size;
  long long kColumn = (long long)(head / spec.share) * size;

  for (int i = threadIdx.x; i < QUERIES * size; i += blockDim.x) {
    int query = tile + i / size;
    queries[i] =
        query < spec.queries ? load(q.row<T>(firstQuery + query) + qColumn + i % size) : 0.0f;
  }

  float most[WARP_QUERIES];
  float total[WARP_QUERIES];
  float sum[WARP_QUERIES][CHANNELS];
#pragma unroll
  for (int i = 0; i < WARP_QUERIES; i++) {
    most[i] = spec.sinks ? spec.sinks[head] : -infinity;
    total[i] = spec.sinks ? 1.0f : 0.0f;
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
      sum[i][c] = 0;
    }
  }

  int lastQuery = tile + QUERIES < spec.queries ? tile + QUERIES : spec.queries;
  int lastKey = offset + lastQuery;
  int start = spec.window > 0 ? offset + tile - spec.window + 1 : 0;
  start = start > 0 ? start / ATTENTION_KEYS * ATTENTION_KEYS : 0;
  for (int from = start; from < lastKey; from += ATTENTION_KEYS) {
    __syncthreads();
    for (int i = threadIdx.x; i < ATTENTION_KEYS * size; i += blockDim.x) {
      int j = i / size;
      int c = i % size;
      bool inside = from + j < spec.keys;
      keys[j * (size + 1) + c] = inside ? load(k.row<T>(firstKey + from + j) + kColumn + c) : 0;
      if (APART) {
        values[i] = inside ? load(v.row<T>(firstKey + from + j) + kColumn + c) : 0;
      }
    }
    __syncthreads();

    float dot[WARP_QUERIES] = {};
    const float* mine = queries + warp * WARP_QUERIES * size;
    for (int c = 0; c < size; c++) {
      float key = keys[lane * (size + 1) + c];
#pragma unroll
      for (int i = 0; i < WARP_QUERIES; i++) {
        dot[i] = fmaf(mine[i * size + c], key, dot[i]);
      }
    }
    if (!APART) {
      __syncthreads();
      for (int i = threadIdx.x; i < ATTENTION_KEYS * size; i += blockDim.x) {
        int j = i / size;
        bool inside = from + j < spec.keys;
        values[i] = inside ? load(v.row<T>(firstKey + from + j) + kColumn + i % size) : 0;
      }
      __syncthreads();
    }
    float weight[WARP_QUERIES];
#pragma unroll
    for (int i = 0; i < WARP_QUERIES; i++) {
      int position = offset + tile + warp * WARP_QUERIES + i;
      int distance = from + lane - position;
      bool seen = distance <= 0 && (spec.window == 0 || distance > -spec.window);
      float score = seen ? finishScore(dot[i], spec, slope, distance) : -infinity;
      float higher = fmaxf(most[i], reduceWarp(score, Max()));
      // A query that has seen no key yet has nothing to rescale.
      float rescale = higher == -infinity ? 1.0f : expf(most[i] - higher);
      weight[i] = seen ? expf(score - higher) : 0.0f;
      total[i] = total[i] * rescale + reduceWarp(weight[i], Sum());
      most[i] = higher;
#pragma unroll
      for (int c = 0; c < CHANNELS; c++) {
        sum[i][c] *= rescale;
      }
    }
    for (int j = 0; j < ATTENTION_KEYS; j++) {
      float w[WARP_QUERIES];
#pragma unroll
      for (int i = 0; i < WARP_QUERIES; i++) {
        w[i] = __shfl_sync(~0u, weight[i], j);
      }
#pragma unroll
      for (int c = 0; c < CHANNELS; c++) {
        int channel = c * 32 + lane;
        float value = channel < size ? values[j * size + channel] : 0.0f;
#pragma unroll
        for (int i = 0; i < WARP_QUERIES; i++) {
          sum[i][c] = fmaf(w[i], value, sum[i][c]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < WARP_QUERIES; i++) {
    int query = tile + warp * WARP_QUERIES + i;
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
      int channel = c * 32 + lane;
      if (query < spec.queries && channel < size) {
        store(y.row<T>(firstQuery + query) + qColumn + channel, sum[i][c] / total[i]);
      }
    }
  }
}

#define ATTENTION_OF(limit, queries, apart)                                            \
  extern "C" __global__ void attention_f32_##limit(Matrix q, Matrix k, Matrix v,       \
                                                   Attention spec, Matrix y) {         \
    attentionOf<float, limit / 32, queries, apart>(q, k, v, spec, y);                  \
  }                                                                                    \
  extern "C" __global__ void attention_bf16_##limit(Matrix q, Matrix k, Matrix v,      \
                                                    Attention spec, Matrix y) {        \
    attentionOf<bf16, limit / 32, queries, apart>(q, k, v, spec, y);                   \
  }
ATTENTION_OF(64, 4, true)
ATTENTION_OF(128, 4, true)
ATTENTION_OF(256, 4, true)
ATTENTION_OF(512, 2, false)
