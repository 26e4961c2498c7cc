package dev.gptq.nativekernels;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.BackendOptions;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.testkit.BackendUnderTest;
import dev.gptq.testkit.RoundedMatmulConformance;

final class NativeRoundedMatmulConformanceTest extends RoundedMatmulConformance {
  @Override
  protected ImmutableSet<Integer> roundedBits() {
    return ImmutableSet.of(2, 4, 8);
  }

  @Override
  protected BackendUnderTest backendUnderTest() {
    return new BackendUnderTest(
        new SimdBackendProvider(),
        new BackendOptions(
            3, 0, ImmutableMap.of("simd.activations", "int8", "simd.kernels", "native")));
  }
}
