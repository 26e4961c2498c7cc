package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.AccuracyConformance;
import dev.gptq.testkit.BackendUnderTest;

final class ReferenceAccuracyConformanceTest extends AccuracyConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
