// How predictions differ from those of another model.
#include "common.cuh"

struct Min {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

/** (e^u − 1 − u)/u² for |u| ≤ ½: the Taylor series, whose rest is under 1e-8. */
__device__ inline float excessOverSquare(float u) {
  float p = 1.0f / 362880;
  p = fmaf(p, u, 1.0f / 40320);
  p = fmaf(p, u, 1.0f / 5040);
  p = fmaf(p, u, 1.0f / 720);
  p = fmaf(p, u, 1.0f / 120);
  p = fmaf(p, u, 1.0f / 24);
  p = fmaf(p, u, 1.0f / 6);
  return fmaf(p, u, 0.5f);
}

/**
 * The four numbers of each position; a block takes one row. With v = ln(q/p) but for a constant, c =
 * Σ p·v and u = v − c the divergence is ln Σ p·e^u = ln(1 + Σ p·(e^u − 1 − u)), whose terms are not
 * negative, so that nothing cancels; an error of c comes in multiplied by the sum. Where the
 * divergence is large, e^u may overflow and the logarithms of sums do not cancel.
 */
extern "C" __global__ void divergence(Matrix logits, Matrix base, Matrix targets, Matrix found) {
  const float infinity = __uint_as_float(0x7f800000u);
  const float* l = logits.row<float>(blockIdx.x);
  const float* b = base.row<float>(blockIdx.x);
  int n = logits.columns;
  float most = -infinity;
  float mostOfBase = -infinity;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    most = fmaxf(most, l[i]);
    mostOfBase = fmaxf(mostOfBase, b[i]);
  }
  most = reduceBlock(most, -infinity, Max());
  mostOfBase = reduceBlock(mostOfBase, -infinity, Max());
  float shift = most - mostOfBase;
  float sum = 0;
  float sumOfBase = 0;
  float weighted = 0;
  int top = n;
  int topOfBase = n;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    float p = expf(b[i] - mostOfBase);
    sum += expf(l[i] - most);
    sumOfBase += p;
    weighted = p == 0 ? weighted : fmaf(p, (l[i] - b[i]) - shift, weighted);
    top = l[i] == most && i < top ? i : top;
    topOfBase = b[i] == mostOfBase && i < topOfBase ? i : topOfBase;
  }
  sum = reduceBlock(sum, 0.0f, Sum());
  sumOfBase = reduceBlock(sumOfBase, 0.0f, Sum());
  float mean = reduceBlock(weighted, 0.0f, Sum()) / sumOfBase;
  top = reduceBlock(top, n, Min());
  topOfBase = reduceBlock(topOfBase, n, Min());
  float excess = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    float p = expf(b[i] - mostOfBase);
    float u = (l[i] - b[i]) - shift - mean;
    if (fabsf(u) <= 0.5f) {
      excess = fmaf(p * u, u * excessOverSquare(u), excess);
    } else {
      excess += expf((l[i] - most) - mean) - (p == 0 ? 0.0f : p * (1.0f + u));
    }
  }
  excess = reduceBlock(excess, 0.0f, Sum());
  if (threadIdx.x == 0) {
    int t = blockIdx.x;
    int target = targets.at<int>(0, t);
    float loss = logf(sumOfBase) - (b[target] - mostOfBase);
    float plain = logf(sum / sumOfBase) - mean;
    bool near = plain <= 0.5f;
    float kl = near ? log1pf(excess / sumOfBase) : plain;
    found.at<float>(0, t) = kl;
    found.at<float>(1, t) = loss;
    found.at<float>(2, t) = near ? kl - ((l[target] - b[target]) - shift - mean)
                                 : logf(sum) - (l[target] - most) - loss;
    found.at<float>(3, t) = top == topOfBase ? 1.0f : 0.0f;
  }
}
