package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RehearsalConformance;

final class ReferenceRehearsalConformanceTest extends RehearsalConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
