// Rotary positions in place: channels c and c + r/2 of each head turn by the angle of the row's
// position. A block takes one row.
#include "common.cuh"

template <class T>
__device__ inline void ropeOf(Matrix x, int headSize, Matrix cosine, Matrix sine,
                              int firstPosition, int length) {
  int half = cosine.columns;
  int pairs = x.columns / headSize * half;
  int position = firstPosition + blockIdx.x % length;
  T* row = x.row<T>(blockIdx.x);
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    int c = i % half;
    T* low = row + (long long)(i / half) * headSize + c;
    T* high = low + half;
    float a = load(low);
    float b = load(high);
    float cos = cosine.at<float>(position, c);
    float sin = sine.at<float>(position, c);
    store(low, a * cos - b * sin);
    store(high, b * cos + a * sin);
  }
}
KERNEL_OF_ACTIVATIONS(rope,
                      (Matrix x, int headSize, Matrix cosine, Matrix sine, int firstPosition,
                       int length),
                      (x, headSize, cosine, sine, firstPosition, length))
