package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GoldenConformance;

final class EmulatedGoldenConformanceTest extends GoldenConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
