// Products of few rows with narrow 4-bit weights on Hopper. Where a processor has two tiles of outputs,
// reading x takes as long as reading the weights; pairs of blocks that split the inputs read half.
#include "packed_strip.cuh"

#define PAIR_MATMUL(strip, fragments, stages, threads)                             \
  extern "C" __global__ void CLUSTER_OF(2) __launch_bounds__(threads, 1)           \
      pairMatmul_##strip##_##fragments(Matrix x, Tiled w, int first, Matrix y) {   \
    stripMatmulOf<strip, fragments, stages, 2>(x, w, first, y);                    \
  }
PAIR_MATMUL(4, 1, 3, 256)
PAIR_MATMUL(4, 2, 3, 256)
