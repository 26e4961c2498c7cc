package dev.gptq.nativekernels;

import com.google.common.collect.ImmutableSet;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RoundedMatmulConformance;

final class NativeRoundedMatmulConformanceTest extends RoundedMatmulConformance {
  @Override
  protected ImmutableSet<Integer> roundedBits() {
    return ImmutableSet.of(2, 3, 4, 5, 6, 7, 8);
  }

  @Override
  protected BackendUnderTest backendUnderTest() {
    return Subjects.nativeKernels();
  }
}
