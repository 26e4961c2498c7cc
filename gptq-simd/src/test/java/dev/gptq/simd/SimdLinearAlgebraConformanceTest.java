package dev.gptq.simd;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.LinearAlgebraConformance;

final class SimdLinearAlgebraConformanceTest extends LinearAlgebraConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.simd();
  }
}
