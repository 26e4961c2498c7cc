package dev.gptq.nativekernels;

import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.LinearAlgebraConformance;

final class NativeLinearAlgebraConformanceTest extends LinearAlgebraConformance {
  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
