// Rotary positions in place: two channels of each head, c and c + r/2 or 2c and 2c + 1, turn by the
// angle of the row's position. A block takes one row.
#include "common.cuh"

template <class T>
__device__ inline void ropeOf(Matrix x, int headSize, int adjacent, Matrix cosine, Matrix sine,
                              int firstPosition, int length) {
  int half = cosine.columns;
  int pairs = x.columns / headSize * half;
  int position = firstPosition + blockIdx.x % length;
  T* row = x.row<T>(blockIdx.x);
  for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
    int c = i % half;
    T* low = row + (long long)(i / half) * headSize + (adjacent ? 2 * c : c);
    T* high = low + (adjacent ? 1 : half);
    float a = load(low);
    float b = load(high);
    float cos = cosine.at<float>(position, c);
    float sin = sine.at<float>(position, c);
    store(low, a * cos - b * sin);
    store(high, b * cos + a * sin);
  }
}
KERNEL_OF_ACTIVATIONS(rope,
                      (Matrix x, int headSize, int adjacent, Matrix cosine, Matrix sine,
                       int firstPosition, int length),
                      (x, headSize, adjacent, cosine, sine, firstPosition, length))
