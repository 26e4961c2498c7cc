// What kernels of blocks of up to 128 columns share.
#pragma once
#include "grid.cuh"
#include "mma.cuh"
#include "packs.cuh"

static const int BLOCK_COLUMNS = 128;

using Four = Pack<float, QUAD>;

/** Whether the rows of a square are whole quads. */
__device__ inline bool ofQuads(const Matrix& square) {
  return square.columns % QUAD == 0 && inQuads<float>(square);
}

/**
 * Starts bringing the quad of a row's columns from k on, or as many as there are, to a row in shared
 * memory.
 */
__device__ inline void startQuad(const Matrix& square, int j, int k, bool quads, float* to) {
  const float* from = square.row<float>(j);
  if (quads && k < square.columns) {
    startCopy(to + k, from + k, true);
  } else {
    for (int c = k; c < k + QUAD && c < square.columns; c++) {
      to[c] = from[c];
    }
  }
}
