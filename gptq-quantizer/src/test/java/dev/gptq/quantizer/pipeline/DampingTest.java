package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.GptqOptions;
import org.junit.jupiter.api.Test;

final class DampingTest {
  private final GptqOptions options = GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 128);

  @Test
  void fewTokensAreDampedMore() {
    assertThat(Damping.of(options, 256, 256).damping()).isEqualTo(0.25);
    assertThat(Damping.of(options, 2048, 256).damping()).isEqualTo(0.03125);
    assertThat(Damping.of(options, 1, 256).damping()).isEqualTo(1);
  }

  @Test
  void enoughTokensAndMoreDampingAreLeftAlone() {
    assertThat(Damping.of(options, 6400, 256)).isSameAs(options);
    assertThat(Damping.of(options, 262_144, 4096)).isSameAs(options);
    GptqOptions damped = options.withDamping(0.5);
    assertThat(Damping.of(damped, 256, 256)).isSameAs(damped);
  }
}
