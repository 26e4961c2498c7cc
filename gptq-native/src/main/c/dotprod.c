#include "forward.h"
#include "rounded.h"

#include <arm_neon.h>

#define LEVEL dotprod
#define BYTES 16
#define INTEGERS int32x4_t
#define DOT(bits, s, u, q) vdotq_s32(s, (int8x16_t)(u), (int8x16_t)(q))
#define FMA(a, b, c) ((floats)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define SIGNED 1
#define LANES(bits, s) ((ints)(s))
#define START(bits, low, high) (uint32_t)((low) + (high))
#define MAX(a, b) ((floats)vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define MIN(a, b) ((floats)vminq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define QUARTERS(x, step) ((floats)vld1q_f32(x))
#define TOKENS 4
#define VECTORS 4
#define UNPACKS 0
#define MANY_QUERIES 8
#define DENSE_ROWS 8
#define DENSE_VECTORS 3
#define COLUMN_VECTORS 4
#define COLUMN_SETS 2
#include "rounded.inc"
#include "forward.inc"
#include "columns.inc"
