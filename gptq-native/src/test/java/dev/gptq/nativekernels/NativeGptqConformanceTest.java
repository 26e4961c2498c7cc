package dev.gptq.nativekernels;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.GptqConformance;

final class NativeGptqConformanceTest extends GptqConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
