// Columns of weights and their codes. ColumnKernels.java says what is computed; every level gives the same bits.
#ifndef GPTQ_COLUMNS_H
#define GPTQ_COLUMNS_H

#include <stdint.h>

// In the order of the operations of NativeColumns.
enum column_operation { QUANTIZE, SUBTRACT };

// Matrices whose columns are contiguous, so many numbers apart; only rows of U are. For SUBTRACT w is the difference,
// and u the weights.
struct columns {
  float *w;
  int64_t w_stride;
  const float *u;
  int64_t u_stride;
  const float *scale;
  int64_t scale_stride;
  const float *zero;
  int64_t zero_stride;
  const int32_t *group_of;
  uint8_t *codes;
  int64_t codes_stride;
  int64_t rows;
  int64_t columns;
  int32_t mid_rise;
  float least;
  float most;
  // Room for all columns of a strip.
  float *strip;
};

#endif
