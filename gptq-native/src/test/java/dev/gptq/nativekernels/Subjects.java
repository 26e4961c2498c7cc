package dev.gptq.nativekernels;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.BackendOptions;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.testkit.BackendUnderTest;

/** What the conformance kit tests here. */
final class Subjects {
  private Subjects() {}

  /** The CPU backend with the kernels in C wherever there are some. */
  static BackendUnderTest nativeKernels() {
    return new BackendUnderTest(
        new SimdBackendProvider(),
        new BackendOptions(
            3, 0, ImmutableMap.of("simd.activations", "int8", "simd.kernels", "native")));
  }
}
