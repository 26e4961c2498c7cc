package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.AttentionConformance;
import dev.gptq.testkit.BackendUnderTest;

final class ReferenceAttentionConformanceTest extends AttentionConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }
}
