package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.AccuracyConformance;

final class SimdAccuracyConformanceTest extends AccuracyConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
