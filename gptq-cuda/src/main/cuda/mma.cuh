// Tensor cores and the ways of feeding them, one instruction a function. Fragments of the product of
// a 16 × 16 by a 16 × 8 matrix of bfloat16 lie in the registers of a warp as PTX lays them out: with
// g = lane / 4 and t = lane % 4, a register holds two neighbours,
//
//   a[0] = A[g][2t, 2t+1]      a[1] = A[g+8][2t, 2t+1]    b[0] = B[2t, 2t+1][g]
//   a[2] = A[g][2t+8, 2t+9]    a[3] = A[g+8][2t+8, 2t+9]  b[1] = B[2t+8, 2t+9][g]
//   c[0], c[1] = C[g][2t, 2t+1]    c[2], c[3] = C[g+8][2t, 2t+1]
#pragma once
#include "common.cuh"

#ifndef GPTQ_HOST_SHIM
/** C = A·B + C with sums in float32. */
__device__ inline void multiplyAdd(float* c, const u32* a, const u32* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline u32 sharedAddress(const void* p) {
  return u32(__cvta_generic_to_shared(p));
}

/**
 * Four 8 × 8 matrices of 16-bit elements from shared memory: lanes 8i … 8i+7 name the rows of
 * matrix i. r[i] holds elements 2t, 2t+1 of row g of matrix i.
 */
__device__ inline void loadMatrices(u32* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row)));
}

/** The same with each matrix transposed: r[i] holds elements g of rows 2t, 2t+1. */
__device__ inline void loadTransposedMatrices(u32* r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row)));
}

/** Starts copying 16 bytes from global to shared memory, or zeros if `valid` is false. */
__device__ inline void startCopy(void* shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)),
               "l"(global), "r"(valid ? 16 : 0));
}

/** Ends a group of copies. */
__device__ inline void endCopies() { asm volatile("cp.async.commit_group;"); }

/** Waits until at most `PENDING` of the last groups of this thread are under way. */
template <int PENDING>
__device__ inline void awaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING));
}

/** Two floats as bfloat16, the first in the lower half. */
__device__ inline u32 packPair(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/** a·b + c on pairs of bfloat16, rounded once. */
__device__ inline u32 multiplyAddPairs(u32 a, u32 b, u32 c) {
  u32 d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
#endif
