package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GradientConformance;

final class EmulatedGradientConformanceTest extends GradientConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
