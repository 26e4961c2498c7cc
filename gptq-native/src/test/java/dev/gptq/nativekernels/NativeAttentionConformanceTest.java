package dev.gptq.nativekernels;

import dev.gptq.testkit.AttentionConformance;
import dev.gptq.testkit.BackendUnderTest;

final class NativeAttentionConformanceTest extends AttentionConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
