package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.AccuracyConformance;

final class CudaAccuracyConformanceTest extends AccuracyConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
