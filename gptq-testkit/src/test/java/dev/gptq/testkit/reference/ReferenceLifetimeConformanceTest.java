package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.LifetimeConformance;

final class ReferenceLifetimeConformanceTest extends LifetimeConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
