package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GradientConformance;

final class CudaGradientConformanceTest extends GradientConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
