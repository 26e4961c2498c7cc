package dev.gptq.nativekernels;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.TransformerConformance;

final class NativeTransformerConformanceTest extends TransformerConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
