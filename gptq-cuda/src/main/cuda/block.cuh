// What kernels of blocks of up to 128 columns share.
#pragma once
#include "grid.cuh"
#include "mma.cuh"

static const int BLOCK_COLUMNS = 128;

struct alignas(16) Four {
  float v[4];
};
