package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RehearsalConformance;

final class SimdRehearsalConformanceTest extends RehearsalConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
