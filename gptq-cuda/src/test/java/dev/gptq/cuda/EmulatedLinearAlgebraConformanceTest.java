package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.LinearAlgebraConformance;

final class EmulatedLinearAlgebraConformanceTest extends LinearAlgebraConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
