package dev.gptq.simd;

import dev.gptq.backend.BackendOptions;
import dev.gptq.testkit.BackendUnderTest;

/** What the tests of this module open. */
final class Subjects {
  private Subjects() {}

  /** The backend with a number of workers that divides nothing evenly. */
  static BackendUnderTest simd() {
    return new BackendUnderTest(
        new SimdBackendProvider(), BackendOptions.defaults().withThreads(3));
  }
}
