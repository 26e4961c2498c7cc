// The module of the operations that use the matrix instructions of compute capability 9.0.
#include "packed_wgmma.cu"
