// What Java calls: the levels of this processor architecture, from the slowest to the fastest.
#include "forward.h"
#include "rounded.h"

#define EXPORT __attribute__((visibility("default")))

#define LEVEL(name)                                                                             \
  void name##_round(const struct weights *, const float *, int64_t, int64_t, uint32_t *);       \
  void name##_multiply(const struct weights *, int64_t, int64_t, const uint32_t *, int64_t,     \
                       float *, int64_t);                                                       \
  void name##_forward(int32_t, const struct operands *);                                        \
  int32_t name##_dense_rows(void);                                                              \
  int32_t name##_dense_columns(void);                                                           \
  int32_t name##_column_rows(void);                                                             \
  void name##_columns(int32_t, const struct columns *);

#define OPERATIONS(name)                                                                                   \
  name##_round, name##_multiply, name##_forward, name##_dense_rows, name##_dense_columns, name##_column_rows, \
      name##_columns

#ifdef __aarch64__
#include <sys/auxv.h>

LEVEL(dotprod)

static int has_dotprod(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

static const struct level levels[] = {
    {"NEON dot product", has_dotprod, OPERATIONS(dotprod)},
};
#else
LEVEL(avx2)
LEVEL(avxvnni)
LEVEL(avx512vnni)

static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#ifdef EMULATED
#define has_avxvnni has_avx2
#define has_avx512vnni has_avx2
#else
static int has_avxvnni(void) { return has_avx2() && __builtin_cpu_supports("avxvnni"); }

static int has_avx512vnni(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

static const struct level levels[] = {
    {"AVX2", has_avx2, OPERATIONS(avx2)},
    {"AVX-VNNI", has_avxvnni, OPERATIONS(avxvnni)},
    {"AVX-512 VNNI", has_avx512vnni, OPERATIONS(avx512vnni)},
};
#endif

EXPORT int32_t gptq_levels(void) { return sizeof levels / sizeof *levels; }

EXPORT const char *gptq_level_name(int32_t level) { return levels[level].name; }

EXPORT int32_t gptq_level_runs(int32_t level) { return levels[level].runs() != 0; }

EXPORT int32_t gptq_dense_rows(int32_t level) { return levels[level].dense_rows(); }

EXPORT int32_t gptq_dense_columns(int32_t level) { return levels[level].dense_columns(); }

EXPORT int32_t gptq_column_rows(int32_t level) { return levels[level].column_rows(); }

EXPORT void gptq_round(int32_t level, int64_t bits, int64_t chunks, int64_t groups,
                       const int32_t *group_of_chunk, const float *x, int64_t token, int64_t tokens,
                       uint32_t *rows) {
  struct weights w = {
      .bits = bits, .chunks = chunks, .groups = groups, .group_of_chunk = group_of_chunk};
  levels[level].round(&w, x, token, tokens, rows);
}

EXPORT void gptq_multiply(int32_t level, const uint32_t *words, const float *scales,
                          const float *zeros, float fixed_zero, const int32_t *group_of_chunk,
                          int64_t bits, int64_t outputs, int64_t width, int64_t chunks,
                          int64_t groups, int64_t first, int64_t end, const uint32_t *rows,
                          int64_t tokens, float *y, int64_t y_stride) {
  struct weights w = {words,   scales, zeros,  group_of_chunk, bits,
                      outputs, width,  chunks, groups,         fixed_zero};
  levels[level].multiply(&w, first, end, rows, tokens, y, y_stride);
}

EXPORT void gptq_forward(int32_t level, int32_t operation, const float *a, int64_t a_stride, const float *b,
                         int64_t b_stride, const float *c, int64_t c_stride, float *y, int64_t y_stride,
                         int64_t rows, int64_t columns, int64_t n, int64_t m, int64_t first, int64_t step,
                         float factor) {
  struct operands o = {a, a_stride, b, b_stride, c, c_stride, y, y_stride, rows, columns, n, m, first, step, factor};
  levels[level].forward(operation, &o);
}

EXPORT void gptq_columns(int32_t level, int32_t operation, float *w, int64_t w_stride, const float *u,
                         int64_t u_stride, const float *scale, int64_t scale_stride, const float *zero,
                         int64_t zero_stride, const int32_t *group_of, uint8_t *codes, int64_t codes_stride,
                         int64_t rows, int64_t columns, int32_t mid_rise, float least, float most, float *strip) {
  struct columns o = {w,        w_stride, u,            u_stride, scale,   scale_stride, zero,  zero_stride,
                      group_of, codes,    codes_stride, rows,     columns, mid_rise,     least, most,
                      strip};
  levels[level].columns(operation, &o);
}
