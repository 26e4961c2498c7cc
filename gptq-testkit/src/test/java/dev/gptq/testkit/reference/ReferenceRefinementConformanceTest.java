package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RefinementConformance;

final class ReferenceRefinementConformanceTest extends RefinementConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
