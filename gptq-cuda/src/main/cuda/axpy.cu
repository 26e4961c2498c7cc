// Y = Y + α·X; y has contiguous rows, x any layout.
#include "elementwise.cuh"

extern "C" __global__ void axpy(float alpha, Matrix x, Matrix y) {
  forEachElement(y, [&](long long r, long long c) {
    long long i = y.index(r, c);
    storeReal(y, i, fmaf(alpha, loadReal(x, x.index(r, c)), loadReal(y, i)));
  });
}
