#include "forward.h"
#include "rounded.h"

#include <immintrin.h>

#define LEVEL avx512vnni
#define BYTES 64
#ifdef EMULATED
#include "emulated.h"
#else
#define INTEGERS __m512i
#define DOT(bits, s, u, q) _mm512_dpbusd_epi32(s, (__m512i)(u), (__m512i)(q))
#define FMA(a, b, c) ((floats)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define MAX(a, b) ((floats)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define MIN(a, b) ((floats)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define QUARTERS(x, step)                                                                           \
  ((floats)_mm512_insertf32x8(                                                                      \
      _mm512_castps256_ps512(_mm256_loadu2_m128((x) + (step), x)),                                  \
      _mm256_loadu2_m128((x) + 3 * (step), (x) + 2 * (step)), 1))
#endif
#define SIGNED 0
#define LANES(bits, s) ((ints)(s))
#define START(bits, low, high) (uint32_t)((low) + (high))
#define TOKENS 8
#define VECTORS 2
#define UNPACKS 1
#define MANY_QUERIES 12
#define DENSE_ROWS 8
#define DENSE_VECTORS 3
#define COLUMN_VECTORS 4
#define COLUMN_SETS 1
#include "rounded.inc"
#include "forward.inc"
#include "columns.inc"
