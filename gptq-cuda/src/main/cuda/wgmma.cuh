// The matrix instructions of compute capability 9.0, which four warps issue together and which run
// beside them. A is 64 × 16, one 16 × 16 fragment of mma.cuh a warp, in registers; B is 16 × N in
// shared memory; C is 64 × N: with g = lane / 4 and t = lane % 4,
//
//   c[4j], c[4j+1] = C[g][8j + 2t, 8j + 2t + 1]    c[4j+2], c[4j+3] = C[g+8][8j + 2t, …]
//
// Columns of B are rows of 64 bfloat16 in shared memory, 128 bytes each, from an address divisible
// by 1024. Piece p of row r (16 bytes) stands at place p ^ (r & 7) of its row, so that eight rows
// read at once lie in different banks.
#pragma once
#include "mma.cuh"

#ifndef GPTQ_HOST_SHIM
/** Before the first product after registers of C or A were written by other instructions. */
__device__ inline void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/** Ends a group of products. */
__device__ inline void endProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/** Waits until at most `PENDING` of the last groups of products are under way. */
template <int PENDING>
__device__ inline void awaitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/** Names inputs 16·step … 16·step + 15 of rows in shared memory as B. */
__device__ inline u64 matrixDescriptor(const void* rows, int step) {
  // Swizzled by 128 bytes; 1024 bytes from eight rows to the next.
  const u32 layout = 1u << 30 | 1024 / 16;
  const u32 unusedStride = 1u << 16;
  u64 descriptor;
  asm("mov.b64 %0, {%1, %2};"
      : "=l"(descriptor)
      : "r"((sharedAddress(rows) >> 4) + (unusedStride + 2 * step)), "r"(layout));
  return descriptor;
}

#define C8(i)                                                                                \
  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), \
      "+f"(c[i + 6]), "+f"(c[i + 7])
#define C32 C8(0), C8(8), C8(16), C8(24)
#define C64 C32, C8(32), C8(40), C8(48), C8(56)
#define C128 C64, C8(64), C8(72), C8(80), C8(88), C8(96), C8(104), C8(112), C8(120)
#define NAMES_32                                                                            \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "  \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_64                                                                            \
  NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, "  \
           "%47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES_128                                                                             \
  NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, "    \
           "%79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, " \
           "%95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, "  \
           "%109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, "   \
           "%122, %123, %124, %125, %126, %127"
#define START_PRODUCT(types, columns, names, registers, a0, a1, a2, a3, b, one)              \
  asm volatile(                                                                              \
      "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %" #one ", 0;\n"                   \
      "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." types " {" names "}, "         \
      "{%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b ", accumulate, 1, 1, 0;\n}"           \
      : registers                                                                            \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"(1))

/** Starts C += A·B for columns 0 … COLUMNS−1 and inputs 16·step … of the rows in shared memory. */
template <int COLUMNS>
__device__ inline void startProduct(float* c, const u32* a, const void* rows, int step) {
  u64 descriptor = matrixDescriptor(rows, step);
  if (COLUMNS == 64) {
    START_PRODUCT("bf16.bf16", 64, NAMES_32, C32, 32, 33, 34, 35, 36, 37);
  } else if (COLUMNS == 128) {
    START_PRODUCT("bf16.bf16", 128, NAMES_64, C64, 64, 65, 66, 67, 68, 69);
  } else {
    START_PRODUCT("bf16.bf16", 256, NAMES_128, C128, 128, 129, 130, 131, 132, 133);
  }
}

/** The same for 64 columns, with A and B of float16. */
__device__ inline void startHalfProduct(float* c, const u32* a, const void* rows, int step) {
  u64 descriptor = matrixDescriptor(rows, step);
  START_PRODUCT("f16.f16", 64, NAMES_32, C32, 32, 33, 34, 35, 36, 37);
}

/**
 * Four 8 × 8 matrices of 16-bit elements, each transposed, to shared memory: lanes 8i … 8i+7 name
 * the rows of matrix i, whose row 2t, 2t+1 get element g from the halves of r[i].
 */
__device__ inline void storeTransposedMatrices(void* row, const u32* r) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                   sharedAddress(row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
#endif
