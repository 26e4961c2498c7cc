package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GoldenConformance;

final class SimdGoldenConformanceTest extends GoldenConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
