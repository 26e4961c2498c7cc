// Rotary positions in place: two channels of each head, c and c + r/2 or 2c and 2c + 1, turn by the
// angle of the row's position. A block takes one row.
#include "packs.cuh"

/** Pairs of adjacent channels. */
template <class T>
__device__ inline void ropeOfNeighbours(T* row, int headSize, int pairs, int half,
                                        const float* cosine, const float* sine) {
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    int c = i % half;
    T* low = row + (long long)(i / half) * headSize + 2 * c;
    float a = load(low);
    float b = load(low + 1);
    store(low, a * cosine[c] - b * sine[c]);
    store(low + 1, b * cosine[c] + a * sine[c]);
  }
}

/** Pairs of channels half a head apart, W of which a thread takes at a time. */
template <class T, int W>
__device__ inline void ropeOfHalves(T* row, int headSize, int pairs, int half, const float* cosine,
                                    const float* sine) {
  using PackOf = Pack<T, W>;
  using Angles = Pack<float, W>;
  for (int i = W * threadIdx.x; i < pairs; i += W * blockDim.x) {
    int c = i % half;
    T* low = row + (long long)(i / half) * headSize + c;
    PackOf a = PackOf::at(low);
    PackOf b = PackOf::at(low + half);
    Angles cos = Angles::at(cosine + c);
    Angles sin = Angles::at(sine + c);
    PackOf turnedA;
    PackOf turnedB;
#pragma unroll
    for (int k = 0; k < W; k++) {
      store(&turnedA.v[k], load(&a.v[k]) * cos.v[k] - load(&b.v[k]) * sin.v[k]);
      store(&turnedB.v[k], load(&b.v[k]) * cos.v[k] + load(&a.v[k]) * sin.v[k]);
    }
    turnedA.to(low);
    turnedB.to(low + half);
  }
}

template <class T>
__device__ inline void ropeOf(Matrix x, int headSize, int adjacent, Matrix cosine, Matrix sine,
                              int firstPosition, int length) {
  int half = cosine.columns;
  int pairs = x.columns / headSize * half;
  int position = firstPosition + blockIdx.x % length;
  T* row = x.row<T>(blockIdx.x);
  const float* cos = cosine.row<float>(position);
  const float* sin = sine.row<float>(position);
  if (adjacent) {
    ropeOfNeighbours<T>(row, headSize, pairs, half, cos, sin);
  } else if (headSize % QUAD == 0 && half % QUAD == 0 && inQuads<T>(x) && inQuads<float>(cosine) &&
             inQuads<float>(sine)) {
    ropeOfHalves<T, QUAD>(row, headSize, pairs, half, cos, sin);
  } else {
    ropeOfHalves<T, 1>(row, headSize, pairs, half, cos, sin);
  }
}
KERNEL_OF_ACTIVATIONS(rope,
                      (Matrix x, int headSize, int adjacent, Matrix cosine, Matrix sine,
                       int firstPosition, int length),
                      (x, headSize, adjacent, cosine, sine, firstPosition, length))
