// Causal attention on tensor cores: y = softmax(scale·q·kᵀ + mask)·v for 64 queries of one head of
// one sequence a block, bfloat16 in and out, scores and sums in float32.
//
// A warp takes 16 queries. K and V arrive in tiles, each in two buffers, so that the next tile is on
// its way while this one is used. Scores stay in registers: the fragment that one product leaves is
// the fragment that the next one takes. Rows in shared memory are 16 bytes longer than needed, which
// spreads the 8 rows of a matrix over all banks. Heads narrower than CHANNELS are padded with zeros.
#include "attention.cu"
#include "mma.cuh"

static const int MMA_QUERIES = 64;
static const int MMA_THREADS = 128;

/** Starts copying rows of `size` channels into a tile, zeros beyond `valid` rows. */
template <int CHANNELS>
__device__ inline void startTile(u16* tile, const u16* from, long long stride, int rows, int valid,
                                 int size) {
  const int pieces = CHANNELS / 8;
  for (int i = threadIdx.x; i < rows * pieces; i += MMA_THREADS) {
    int row = i / pieces;
    int channel = i % pieces * 8;
    bool inside = row < valid && channel < size;
    startCopy(tile + row * (CHANNELS + 8) + channel,
              inside ? from + row * stride + channel : from, inside);
  }
}

template <int CHANNELS, int KEYS>
__device__ inline void attentionMmaOf(Matrix q, Matrix k, Matrix v, Attention spec, Matrix y) {
  DYNAMIC_SHARED(u16, memory);
  const int STRIDE = CHANNELS + 8;
  const float infinity = __uint_as_float(0x7f800000u);
  const float log2e = 1.4426950408889634f;
  u16* queries = memory;
  u16* keys = queries + MMA_QUERIES * STRIDE;
  u16* values = keys + 2 * KEYS * STRIDE;

  int lane = threadIdx.x & 31;
  int warp = threadIdx.x >> 5;
  int g = lane >> 2;
  int t = lane & 3;
  int head = blockIdx.y;
  int size = spec.headSize;
  long long firstQuery = (long long)blockIdx.z * spec.queries;
  long long firstKey = (long long)blockIdx.z * spec.keys;
  // The last tiles see the most keys: they go first.
  int tile = (gridDim.x - 1 - blockIdx.x) * MMA_QUERIES;
  int offset = spec.keys - spec.queries;
  float slope = spec.alibi * alibiSlope(head, spec.heads);
  long long qColumn = (long long)head * size;
  long long kColumn = (long long)(head / spec.share) * size;
  const u16* keyRows = k.row<u16>(firstKey) + kColumn;
  const u16* valueRows = v.row<u16>(firstKey) + kColumn;

  int queriesHere = spec.queries - tile < MMA_QUERIES ? spec.queries - tile : MMA_QUERIES;
  int lastKey = offset + tile + queriesHere;
  int start = spec.window > 0 ? offset + tile - spec.window + 1 : 0;
  start = start > 0 ? start / KEYS * KEYS : 0;

  startTile<CHANNELS>(queries, q.row<u16>(firstQuery + tile) + qColumn, q.rowStride, MMA_QUERIES,
                      queriesHere, size);
  startTile<CHANNELS>(keys, keyRows + start * k.rowStride, k.rowStride, KEYS, lastKey - start, size);
  endCopies();
  startTile<CHANNELS>(values, valueRows + start * v.rowStride, v.rowStride, KEYS, lastKey - start,
                      size);
  endCopies();

  float output[CHANNELS / 8][4];
#pragma unroll
  for (int n = 0; n < CHANNELS / 8; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      output[n][i] = 0;
    }
  }
  // Of the two rows of this lane, g and g + 8. A sink is counted by one of the four lanes of a row.
  float sink = spec.sinks ? spec.sinks[head] : -infinity;
  float sinkWeight = spec.sinks && t == 0 ? 1.0f : 0.0f;
  float most[2] = {sink, sink};
  float total[2] = {sinkWeight, sinkWeight};
  int position = offset + tile + warp * 16 + g;

  int buffer = 0;
  for (int from = start; from < lastKey; from += KEYS, buffer ^= 1) {
    int next = from + KEYS;
    awaitCopies<1>();
    __syncthreads();
    if (next < lastKey) {
      startTile<CHANNELS>(keys + (buffer ^ 1) * KEYS * STRIDE, keyRows + next * k.rowStride,
                          k.rowStride, KEYS, lastKey - next, size);
    }
    endCopies();

    float scores[KEYS / 8][4];
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        scores[n][i] = 0;
      }
    }
    const u16* keyTile = keys + buffer * KEYS * STRIDE;
    int matrix = lane >> 3;
    int matrixRow = lane & 7;
#pragma unroll
    for (int c = 0; c < CHANNELS; c += 16) {
      u32 a[4];
      loadMatrices(a, queries + (warp * 16 + (matrix & 1) * 8 + matrixRow) * STRIDE + c +
                          (matrix >> 1) * 8);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n += 2) {
        u32 b[4];
        loadMatrices(b, keyTile + (n * 8 + (matrix >> 1) * 8 + matrixRow) * STRIDE + c +
                            (matrix & 1) * 8);
        multiplyAdd(scores[n], a, b);
        multiplyAdd(scores[n + 1], a, b + 2);
      }
    }

    // Only tiles on the diagonal or at the window's end hide keys from some query of the warp.
    int warpFirst = offset + tile + warp * 16;
    bool masked = next > warpFirst + 1 ||
                  (spec.window > 0 && from <= warpFirst + 15 - spec.window);
    if (spec.softCap > 0 || spec.alibi != 0) {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int distance = from + n * 8 + 2 * t + (i & 1) - position - (i >> 1) * 8;
          scores[n][i] = finishScore(scores[n][i], spec, slope, distance);
        }
      }
    } else {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          scores[n][i] *= spec.scale;
        }
      }
    }
    if (masked) {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int distance = from + n * 8 + 2 * t + (i & 1) - position - (i >> 1) * 8;
          bool seen = distance <= 0 && (spec.window == 0 || distance > -spec.window);
          scores[n][i] = seen ? scores[n][i] : -infinity;
        }
      }
    }
    float higher[2] = {most[0], most[1]};
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        higher[i >> 1] = fmaxf(higher[i >> 1], scores[n][i]);
      }
    }
    float rescale[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      higher[r] = fmaxf(higher[r], __shfl_xor_sync(~0u, higher[r], 1));
      higher[r] = fmaxf(higher[r], __shfl_xor_sync(~0u, higher[r], 2));
      // A query that has seen no key yet has nothing to rescale.
      rescale[r] = higher[r] == -infinity ? 1.0f : exp2f((most[r] - higher[r]) * log2e);
      most[r] = higher[r];
      total[r] *= rescale[r];
    }
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        float base = most[i >> 1] == -infinity ? 0.0f : most[i >> 1];
        scores[n][i] = exp2f((scores[n][i] - base) * log2e);
        total[i >> 1] += scores[n][i];
      }
    }
#pragma unroll
    for (int n = 0; n < CHANNELS / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        output[n][i] *= rescale[i >> 1];
      }
    }

    awaitCopies<1>();
    __syncthreads();
    if (next < lastKey) {
      startTile<CHANNELS>(values + (buffer ^ 1) * KEYS * STRIDE, valueRows + next * v.rowStride,
                          v.rowStride, KEYS, lastKey - next, size);
    }
    endCopies();
    const u16* valueTile = values + buffer * KEYS * STRIDE;
#pragma unroll
    for (int j = 0; j < KEYS / 8; j += 2) {
      u32 a[4] = {packPair(scores[j][0], scores[j][1]), packPair(scores[j][2], scores[j][3]),
                  packPair(scores[j + 1][0], scores[j + 1][1]),
                  packPair(scores[j + 1][2], scores[j + 1][3])};
#pragma unroll
      for (int n = 0; n < CHANNELS / 8; n += 2) {
        u32 b[4];
        loadTransposedMatrices(b, valueTile + (j * 8 + (matrix & 1) * 8 + matrixRow) * STRIDE +
                                      n * 8 + (matrix >> 1) * 8);
        multiplyAdd(output[n], a, b);
        multiplyAdd(output[n + 1], a, b + 2);
      }
    }
  }
  awaitCopies<0>();

#pragma unroll
  for (int r = 0; r < 2; r++) {
    total[r] += __shfl_xor_sync(~0u, total[r], 1);
    total[r] += __shfl_xor_sync(~0u, total[r], 2);
    int query = warp * 16 + r * 8 + g;
    if (query < queriesHere) {
      u16* row = y.row<u16>(firstQuery + tile + query) + qColumn;
#pragma unroll
      for (int n = 0; n < CHANNELS / 8; n++) {
        int channel = n * 8 + 2 * t;
        if (channel < size) {
          *reinterpret_cast<u32*>(row + channel) =
              packPair(output[n][2 * r] / total[r], output[n][2 * r + 1] / total[r]);
        }
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(128)
    attentionMma_64(Matrix q, Matrix k, Matrix v, Attention spec, Matrix y) {
  attentionMmaOf<64, 64>(q, k, v, spec, y);
}

extern "C" __global__ void __launch_bounds__(128)
    attentionMma_128(Matrix q, Matrix k, Matrix v, Attention spec, Matrix y) {
  attentionMmaOf<128, 64>(q, k, v, spec, y);
}

extern "C" __global__ void __launch_bounds__(128)
    attentionMma_256(Matrix q, Matrix k, Matrix v, Attention spec, Matrix y) {
  attentionMmaOf<256, 32>(q, k, v, spec, y);
}
