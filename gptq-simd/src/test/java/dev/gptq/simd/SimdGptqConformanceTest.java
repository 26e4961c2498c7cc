package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GptqConformance;

final class SimdGptqConformanceTest extends GptqConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
