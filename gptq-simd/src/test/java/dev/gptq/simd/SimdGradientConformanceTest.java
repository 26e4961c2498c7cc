package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GradientConformance;

final class SimdGradientConformanceTest extends GradientConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
