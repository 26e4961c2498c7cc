package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.LinearAlgebraConformance;

final class CudaLinearAlgebraConformanceTest extends LinearAlgebraConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
