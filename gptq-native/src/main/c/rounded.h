// Products of weights of 2 to 8 bits with activations rounded to 8 bits. RoundedKernels.java says
// what the arrays hold and in which order sums are added; every level gives the same bits.
#ifndef GPTQ_ROUNDED_H
#define GPTQ_ROUNDED_H

#include <stdint.h>

#include "columns.h"
#include "forward.h"

// Inputs of a chunk, which share a scale of the activations. Each output has as many words of its
// codes as a code has bits.
#define CHUNK_INPUTS 32

// 32-bit words of a chunk of a rounded row: what its sum begins with, four activations each, and the
// scale.
#define CHUNK_STRIDE (2 + CHUNK_INPUTS / 4)

struct weights {
  const uint32_t *words;
  const float *scales;
  const float *zeros;  // null where all are fixed_zero
  const int32_t *group_of_chunk;
  int64_t bits;     // of a code
  int64_t outputs;  // of all tiles
  int64_t width;    // outputs of a tile: 16, 32 or 64
  int64_t chunks;
  int64_t groups;
  float fixed_zero;
};

struct level {
  const char *name;
  int (*runs)(void);
  void (*round)(const struct weights *w, const float *x, int64_t t, int64_t tokens, uint32_t *rows);
  void (*multiply)(const struct weights *w, int64_t first, int64_t end, const uint32_t *rows,
                   int64_t tokens, float *y, int64_t y_stride);
  void (*forward)(int32_t operation, const struct operands *operands);
  int32_t (*dense_rows)(void);  // of a tile of a dense product
  int32_t (*dense_columns)(void);
  int32_t (*column_rows)(void);  // of a strip of the column loop
  void (*columns)(int32_t operation, const struct columns *columns);
};

#endif
