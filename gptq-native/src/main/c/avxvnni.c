#include "forward.h"
#include "rounded.h"

#include <immintrin.h>

#define LEVEL avxvnni
#define BYTES 32
#ifdef EMULATED
#include "emulated.h"
#else
#define INTEGERS __m256i
#define DOT(bits, s, u, q) _mm256_dpbusd_avx_epi32(s, (__m256i)(u), (__m256i)(q))
#define FMA(a, b, c) ((floats)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define MAX(a, b) ((floats)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define MIN(a, b) ((floats)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define QUARTERS(x, step) ((floats)_mm256_loadu2_m128((x) + (step), x))
#endif
#define SIGNED 0
#define LANES(bits, s) ((ints)(s))
#define START(bits, low, high) (uint32_t)((low) + (high))
#define TOKENS 4
#define VECTORS 2
#define UNPACKS 1
#define MANY_QUERIES 6
#define DENSE_ROWS 6
#define DENSE_VECTORS 2
#define COLUMN_VECTORS 3
#define COLUMN_SETS 2
#include "rounded.inc"
#include "forward.inc"
#include "columns.inc"
