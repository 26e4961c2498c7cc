package dev.gptq.cuda;

import dev.gptq.testkit.AttentionConformance;
import dev.gptq.testkit.BackendUnderTest;

final class CudaAttentionConformanceTest extends AttentionConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.gpu();
  }
}
