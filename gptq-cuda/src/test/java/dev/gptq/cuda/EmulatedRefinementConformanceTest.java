package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RefinementConformance;

final class EmulatedRefinementConformanceTest extends RefinementConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
