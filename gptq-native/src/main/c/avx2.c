// Codes of 4 bits reach 15 and activations 127: the sixteen products that a lane of 16 bits adds up
// for a chunk stay below 2^15. Of wider codes two products do, those of 8 bits if they are signed, so that
// their signs go to the activations.
#include "forward.h"
#include "rounded.h"

#include <immintrin.h>

#define LEVEL avx2
#define BYTES 32
#define INTEGERS __m256i
#define SIGNED 1
#define PAIRS(s) _mm256_madd_epi16(s, _mm256_set1_epi16(1))
#define SIGNED_PRODUCTS(u, q) _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(q, u))
#define PRODUCTS_OF_PAIRS(bits, u, q) (bits == 8 ? SIGNED_PRODUCTS(u, q) : _mm256_maddubs_epi16(u, q))
#define DOT(bits, s, u, q)                                                                              \
  (bits > 4 ? _mm256_add_epi32(s, PAIRS(PRODUCTS_OF_PAIRS(bits, (__m256i)(u), (__m256i)(q))))            \
            : _mm256_add_epi16(s, _mm256_maddubs_epi16((__m256i)(u), (__m256i)(q))))
#define LANES(bits, s) ((ints)(bits > 4 ? s : PAIRS(s)))
#define START(bits, low, high) \
  (bits > 4 ? (uint32_t)((low) + (high)) : ((uint32_t)(low) & 0xffff) | (uint32_t)(high) << 16)
#define FMA(a, b, c) ((floats)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define MAX(a, b) ((floats)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define MIN(a, b) ((floats)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define QUARTERS(x, step) ((floats)_mm256_loadu2_m128((x) + (step), x))
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
