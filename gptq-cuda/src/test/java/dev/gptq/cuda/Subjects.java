package dev.gptq.cuda;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.BackendOptions;
import dev.gptq.testkit.BackendUnderTest;

/** What the conformance classes of this module test. */
final class Subjects {
  private static final BackendOptions FLOATS =
      new BackendOptions(1, 0, ImmutableMap.of(CudaBackend.ACTIVATIONS, "f32"));

  private Subjects() {}

  static BackendUnderTest gpu() {
    return BackendUnderTest.of(new CudaBackendProvider());
  }

  static BackendUnderTest gpuWithFloats() {
    return new BackendUnderTest(new CudaBackendProvider(), FLOATS);
  }

  static BackendUnderTest emulated() {
    return BackendUnderTest.of(new EmulatedProvider());
  }

  static BackendUnderTest emulatedWithFloats() {
    return new BackendUnderTest(new EmulatedProvider(), FLOATS);
  }
}
