package dev.gptq.testkit.reference;

import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GoldenConformance;

final class ReferenceGoldenConformanceTest extends GoldenConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return BackendUnderTest.of(new ReferenceBackendProvider());
  }

  @Override
  protected int rows() {
    return 48;
  }
}
