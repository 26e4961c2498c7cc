package dev.gptq.simd;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.BackendOptions;
import dev.gptq.testkit.BackendUnderTest;

/** What the tests of this module open. */
final class Subjects {
  private Subjects() {}

  /**
   * The backend with a number of workers that divides nothing evenly. Its products are held against
   * exact activations; rounded ones have {@link RoundedActivationsTest}.
   */
  static BackendUnderTest simd() {
    return new BackendUnderTest(
        new SimdBackendProvider(),
        new BackendOptions(3, 0, ImmutableMap.of("simd.activations", "float32")));
  }
}
