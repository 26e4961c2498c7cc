// The module of the exact operations: compiled with -fmad=false, the same bits on every backend.
#include "beam_block.cu"
#include "dequantize.cu"
#include "descend_block.cu"
#include "fit_grid.cu"
#include "fit_grid_weighted.cu"
#include "quantize_block.cu"
#include "quantize_nearest.cu"
#include "tuning.cu"
