package dev.gptq.cuda;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RehearsalConformance;

final class EmulatedRehearsalConformanceTest extends RehearsalConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.emulated();
  }
}
