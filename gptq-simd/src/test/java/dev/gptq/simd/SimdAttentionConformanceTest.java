package dev.gptq.simd;

import dev.gptq.testkit.AttentionConformance;
import dev.gptq.testkit.BackendUnderTest;

final class SimdAttentionConformanceTest extends AttentionConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
