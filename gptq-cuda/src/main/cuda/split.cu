// A float32 as the sum of bfloat16: each takes the eight leading bits of what is left, rounded to
// nearest even, so that three keep all 24 bits.
#include "elementwise.cuh"

/** The nearest bfloat16; what would round to infinity is cut off. */
__device__ inline u16 leadingPart(float value) {
  u16 bits = floatToBfloat(value);
  bool overflows = (bits & 0x7fff) == 0x7f80 && fabsf(value) < __uint_as_float(0x7f800000u);
  return overflows ? u16(__float_as_uint(value) >> 16) : bits;
}

/**
 * Part p of element (r, c) of a matrix with contiguous rows goes to r·stride + c + o·step, with o =
 * p, or count − 1 − p in descending order. What is not finite has no further parts.
 */
extern "C" __global__ void splitParts(Matrix src, u16* parts, long long stride, long long step,
                                      int count, int descending) {
  forEachElement(src, [&](long long r, long long c) {
    float rest = src.at<float>(r, c);
    u16* at = parts + r * stride + c;
    for (int p = 0; p < count; p++) {
      u16 part = leadingPart(rest);
      at[(descending ? count - 1 - p : p) * step] = part;
      rest = (part & 0x7f80) == 0x7f80 ? 0.0f : rest - bfloatToFloat(part);
    }
  });
}
