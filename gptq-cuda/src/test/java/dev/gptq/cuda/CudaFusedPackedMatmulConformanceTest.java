package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.PackedMatmulConformance;

final class CudaFusedPackedMatmulConformanceTest extends PackedMatmulConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.fusedGpu();
  }
}
