package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GradientConformance;

final class EmulatedFloatGradientConformanceTest extends GradientConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulatedWithFloats();
  }
}
