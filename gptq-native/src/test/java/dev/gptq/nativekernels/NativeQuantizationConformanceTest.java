package dev.gptq.nativekernels;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.QuantizationConformance;

final class NativeQuantizationConformanceTest extends QuantizationConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
