package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GptqConformance;

final class CudaGptqConformanceTest extends GptqConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
