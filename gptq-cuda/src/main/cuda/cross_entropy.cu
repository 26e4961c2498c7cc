// loss[t] = −ln softmax(logits[t])[targets[t]]; a block takes one row.
#include "common.cuh"

extern "C" __global__ void crossEntropy(Matrix logits, Matrix targets, Matrix loss) {
  long long t = blockIdx.x;
  float most = -__uint_as_float(0x7f800000u);
  for (int c = threadIdx.x; c < logits.columns; c += blockDim.x) {
    most = fmaxf(most, loadReal(logits, logits.index(t, c)));
  }
  most = reduceBlock(most, -__uint_as_float(0x7f800000u), Max());
  float sum = 0;
  for (int c = threadIdx.x; c < logits.columns; c += blockDim.x) {
    sum += expf(loadReal(logits, logits.index(t, c)) - most);
  }
  sum = reduceBlock(sum, 0.0f, Sum());
  if (threadIdx.x == 0) {
    float target = loadReal(logits, logits.index(t, targets.at<int>(0, t)));
    loss.at<float>(0, t) = logf(sum) + (most - target);
  }
}
