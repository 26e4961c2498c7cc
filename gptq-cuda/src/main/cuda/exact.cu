// The module of the exact operations: compiled with -fmad=false, the same bits on every backend.
#include "dequantize.cu"
#include "fit_grid.cu"
#include "quantize_block.cu"
#include "quantize_nearest.cu"
