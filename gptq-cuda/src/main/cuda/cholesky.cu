// The parts of a Cholesky factorisation that no library has: reversing a matrix in place, looking for
// pivots that are not positive, splitting what was eliminated with.
#include "halves.cu"

/** H[i][j] and H[n−1−i][n−1−j] change places. H has contiguous rows; blockIdx.x < ⌈n/2⌉. */
extern "C" __global__ void reverseBoth(Matrix h) {
  int n = h.rows;
  int mirrored = n - 1 - int(blockIdx.x);
  Matrix upper = h;
  upper.columns = mirrored == int(blockIdx.x) ? n / 2 : n;
  forEachElement(upper, [&](long long r, long long c) {
    float& one = h.at<float>(r, c);
    float& other = h.at<float>(n - 1 - r, n - 1 - c);
    float value = one;
    one = other;
    other = value;
  });
}

/**
 * minors[0] = the one-based index of the first diagonal element not in (0, ∞), if that is less than
 * what the factorisations of blocks of so many columns found or they found none: they take infinite
 * pivots for good ones. What they found is the order of a minor of their block, or 0.
 */
extern "C" __global__ void checkPivots(Matrix l, int block, int* minors) {
  int n = l.rows;
  int first = n + 1;
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    float pivot = l.at<float>(j, j);
    bool good = pivot > 0 && pivot < __uint_as_float(0x7f800000u);
    int minor = minors[j / block];
    bool found = minor != 0 && j % block == 0;
    int bad = !good ? j + 1 : n + 1;
    if (found && j + minor < bad) {
      bad = j + minor;
    }
    first = bad < first ? bad : first;
  }
  first = -reduceBlock(-first, -(n + 1), Max());
  if (threadIdx.x == 0) {
    minors[0] = first <= n ? first : 0;
  }
}

/** The scales of −L·Lᵀ + C with LLᵀ = A: no element of L is above the root of the largest diagonal one. */
extern "C" __global__ void factorScales(Matrix a, HalvesScales* scales) {
  u32 largest = 0;
  for (int j = threadIdx.x; j < a.rows; j += blockDim.x) {
    u32 bits = __float_as_uint(a.at<float>(j, j));
    largest = bits < 0x7f800000u && bits > largest ? bits : largest;
  }
  largest = reduceBlock(largest, 0u, Max());
  if (threadIdx.x == 0) {
    int exponent = halvesExponent(__float_as_uint(sqrtf(__uint_as_float(largest))));
    exponent = exponent < HALVES_MOST / 2 ? exponent : HALVES_MOST / 2;
    *scales = {-timesPower(1, -2 * exponent), 1.0f, 1.0f, {exponent, exponent}};
  }
}

/**
 * Column r of a panel, in row r of src, goes to row r of dst. Of a piece of p columns the halves
 * are 4·p rows: the larger ones, the smaller ones, and the larger ones twice.
 */
extern "C" __global__ void splitPanel(Matrix src, Matrix dst, int piece, u16* halves,
                                      long long stride, const HalvesScales* scales) {
  int exponent = scales->exponents[0];
  forEachElement(src, [&](long long r, long long c) {
    float value = src.at<float>(r, c);
    dst.at<float>(r, c) = value;
    Halves of = inHalves(timesPower(value, exponent));
    long long first = r / piece * piece;
    long long step = (src.rows - first < piece ? src.rows - first : piece) * stride;
    u16* at = halves + (4 * first + (r - first)) * stride + c;
    at[0] = of.large;
    at[step] = of.small;
    at[2 * step] = of.large;
    at[3 * step] = of.large;
  });
}
