package dev.gptq.cuda;

import dev.gptq.backend.PackedWeights;

/** Packed weights in device memory, in one of the layouts that the kernels know. */
sealed interface DeviceWeights extends PackedWeights permits PlainWeights, TiledWeights {
  /** Owner of the memory. */
  CudaScope scope();
}
