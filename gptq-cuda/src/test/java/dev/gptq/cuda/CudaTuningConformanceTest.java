package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.TuningConformance;

final class CudaTuningConformanceTest extends TuningConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
