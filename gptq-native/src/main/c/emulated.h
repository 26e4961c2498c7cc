// What a level takes from its processor, in plain C: for tests of levels on other processors.
#include <math.h>

#define INTEGERS emulated_ints
#define DOT(bits, s, u, q) emulated_dot(s, (emulated_ints)(u), (emulated_ints)(q))
#define FMA(a, b, c) ((floats)emulated_fma((emulated_floats)(a), (emulated_floats)(b), (emulated_floats)(c)))
#define MAX(a, b) ((floats)emulated_choice((emulated_floats)(a), (emulated_floats)(b), 1))
#define QUARTERS(x, step) ((floats)emulated_quarters(x, step))
#define MIN(a, b) ((floats)emulated_choice((emulated_floats)(a), (emulated_floats)(b), -1))

typedef int32_t emulated_ints __attribute__((vector_size(BYTES)));
typedef float emulated_floats __attribute__((vector_size(BYTES)));

static __attribute__((noinline)) emulated_ints emulated_dot(emulated_ints s, emulated_ints u, emulated_ints q) {
  for (int i = 0; i < BYTES / 4; i++) {
    for (int shift = 0; shift < 32; shift += 8) {
      s[i] += (uint8_t)((uint32_t)u[i] >> shift) * (int8_t)((uint32_t)q[i] >> shift);
    }
  }
  return s;
}

static __attribute__((noinline)) emulated_floats emulated_fma(emulated_floats a, emulated_floats b,
                                           emulated_floats c) {
  for (int i = 0; i < BYTES / 4; i++) {
    c[i] = fmaf(a[i], b[i], c[i]);
  }
  return c;
}

static __attribute__((noinline)) emulated_floats emulated_choice(emulated_floats a, emulated_floats b, float sign) {
  for (int i = 0; i < BYTES / 4; i++) {
    b[i] = sign * a[i] > sign * b[i] ? a[i] : b[i];
  }
  return b;
}

static __attribute__((noinline)) emulated_floats emulated_quarters(const float *x, int64_t step) {
  emulated_floats v = {};
  for (int i = 0; i < BYTES / 4; i++) {
    v[i] = x[i / 4 * step + i % 4];
  }
  return v;
}
