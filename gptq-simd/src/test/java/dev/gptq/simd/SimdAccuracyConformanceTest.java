package dev.gptq.simd;

import dev.gptq.testkit.AccuracyConformance;
import dev.gptq.testkit.BackendUnderTest;

final class SimdAccuracyConformanceTest extends AccuracyConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
