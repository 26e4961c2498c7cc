package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GptqConformance;

final class ReferenceGptqConformanceTest extends GptqConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
