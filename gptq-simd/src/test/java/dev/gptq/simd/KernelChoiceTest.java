package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendSettingException;
import dev.gptq.backend.Backends;
import org.junit.jupiter.api.Test;

/** Kernels outside of Java, where there are none on the class path. */
final class KernelChoiceTest {
  @Test
  void javaIsTheDefaultAndSaysSo() {
    for (BackendOptions options : new BackendOptions[] {options("auto"), options("java")}) {
      try (Backend backend = new SimdBackendProvider().open(options)) {
        assertThat(backend.info().features()).containsEntry("kernels", "java");
      }
    }
  }

  @Test
  void whoAsksForNativeOnesIsToldThatThereAreNone() {
    assertThat(new SimdBackendProvider().probe(options("native")))
        .isInstanceOfSatisfying(
            Availability.Unavailable.class,
            why -> {
              assertThat(why.reason()).contains("no native kernels on the class path");
              assertThat(why.remedy()).contains("gptq-native-*.jar", "simd.kernels");
            });
    // Not the next backend instead, either.
    assertThatThrownBy(() -> Backends.open(Backends.AUTO, options("native"), refused -> {}))
        .isInstanceOf(BackendSettingException.class)
        .hasMessage(
            "simd.kernels must be auto or java, as there are no native kernels on the class path,"
                + " but is 'native'");
  }

  @Test
  void anotherWordIsRefused() {
    assertThat(new SimdBackendProvider().probe(options("c")))
        .isInstanceOfSatisfying(
            Availability.Unavailable.class,
            why -> assertThat(why.remedy()).contains("auto", "java", "native"));
  }

  private static BackendOptions options(String kernels) {
    return new BackendOptions(1, 0, ImmutableMap.of("simd.kernels", kernels));
  }
}
