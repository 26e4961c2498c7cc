// Pairs of blocks that run side by side and read each other's shared memory: compute capability 9.0.
#pragma once
#include "mma.cuh"

#ifndef GPTQ_HOST_SHIM
/** Marks a kernel whose blocks come in clusters of that size. */
#define CLUSTER_OF(blocks) __cluster_dims__(blocks, 1, 1)

/** The block's number within its cluster. */
__device__ inline int clusterRank() {
  int rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/** A barrier of all threads of the cluster. */
__device__ inline void syncCluster() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

/** Four floats that stand at `p` in the shared memory of another block of the cluster. */
__device__ inline void loadFromCluster(float* values, const float* p, int rank) {
  asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %4, %5;\n"
      "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [there];\n}"
      : "=f"(values[0]), "=f"(values[1]), "=f"(values[2]), "=f"(values[3])
      : "r"(sharedAddress(p)), "r"(rank)
      : "memory");
}
#endif
