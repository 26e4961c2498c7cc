package dev.gptq.models.family;

import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.config.RopeParameters;

/** Rotary positions from {@code config.json}. */
final class Ropes {
  private Ropes() {}

  /** The rotation of the first channels of heads of that size. */
  static RopeSpec of(ModelConfig config, int headSize) {
    RopeParameters rope = config.rope();
    double[] plain = RopeSpec.plain(rope.theta(), (int) (headSize * rope.partialRotaryFactor()));
    double[] frequencies =
        switch (rope.type()) {
          case "default" -> plain;
          case "linear" -> RopeSpec.linear(plain, rope.factor());
          case "llama3" ->
              RopeSpec.llama3(
                  plain,
                  rope.factor(),
                  rope.lowFreqFactor(),
                  rope.highFreqFactor(),
                  rope.originalMaxPosition()
                      .orElseGet(() -> config.intValue("max_position_embeddings")));
          default ->
              throw Switches.refused(
                  config, "rope_type", rope.type(), "default, linear and llama3 are supported");
        };
    return new RopeSpec(ImmutableDoubleArray.copyOf(frequencies), 1);
  }
}
