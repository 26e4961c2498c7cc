// Products of few rows with narrow weights on Hopper. Where a processor has two tiles of outputs,
// reading x takes as long as reading the weights; pairs of blocks that split the inputs read half.
#include "packed_strip.cuh"

#define PAIR_MATMUL(bits, strip, fragments, stages, threads)                              \
  extern "C" __global__ void CLUSTER_OF(2) __launch_bounds__(threads, 1)                  \
      pairMatmul_##bits##_##strip##_##fragments(Matrix x, Tiled w, int first, Matrix y) { \
    stripMatmulOf<bits, strip, fragments, stages, 2>(x, w, first, y);                     \
  }
#define PAIR_MATMULS(bits)           \
  PAIR_MATMUL(bits, 4, 1, 3, 256)    \
  PAIR_MATMUL(bits, 4, 2, 3, 256)
PAIR_MATMULS(2)
PAIR_MATMULS(3)
PAIR_MATMULS(4)
PAIR_MATMULS(5)
PAIR_MATMULS(6)
PAIR_MATMULS(7)
PAIR_MATMULS(8)
