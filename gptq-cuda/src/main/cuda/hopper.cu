// The module of the operations that use what only compute capability 9.0 has.
#include "packed_pair.cu"
#include "packed_wgmma.cu"
#include "refit_wgmma.cu"
