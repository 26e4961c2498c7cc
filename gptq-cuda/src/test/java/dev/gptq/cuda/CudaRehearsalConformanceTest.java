package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RehearsalConformance;

final class CudaRehearsalConformanceTest extends RehearsalConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
