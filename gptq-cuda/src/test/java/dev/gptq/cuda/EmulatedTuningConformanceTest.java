package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.TuningConformance;

final class EmulatedTuningConformanceTest extends TuningConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
