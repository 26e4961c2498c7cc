// What a model computes between its products, and products of dense matrices. ForwardKernels.java and DenseKernels.java
// say what each operation is; every level gives the same bits.
#ifndef GPTQ_FORWARD_H
#define GPTQ_FORWARD_H

#include <stdint.h>

// Operands of an operation: matrices of float32 whose rows are so many numbers apart. Of bfloat16 are the keys and
// values, b and c, of ATTENTION_BF16, and y of NARROW.
struct operands {
  const float *a;
  int64_t a_stride;
  const float *b;
  int64_t b_stride;
  const float *c;
  int64_t c_stride;
  float *y;
  int64_t y_stride;
  int64_t rows;
  int64_t columns;
  int64_t n;
  int64_t m;
  int64_t first;
  int64_t step;
  float factor;
};

// In the order of the operations of NativeForward, then of NativeDense.
enum operation {
  RMS_NORM,
  ROTATE_HALVES,
  ROTATE_ADJACENT,
  GATE_SILU,
  GATE_GELU_TANH,
  ADD,
  PRODUCTS,
  ATTENTION,
  ATTENTION_BF16,
  NARROW,
  TRANSPOSE,
  PACK_A,
  PACK_B,
  TILES
};

#endif
