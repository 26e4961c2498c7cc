package dev.gptq.cuda;

import dev.gptq.testkit.AccuracyConformance;
import dev.gptq.testkit.BackendUnderTest;

final class EmulatedAccuracyConformanceTest extends AccuracyConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
