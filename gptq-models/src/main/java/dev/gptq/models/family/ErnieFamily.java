package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/** ERNIE 4.5: Llama with neighbouring channels rotated. */
final class ErnieFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("ernie4_5");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rope_theta", 5e5));
    boolean bias = config.booleanValue("use_bias", false);
    FeedForward feedForward = LlamaLayout.feedForward(config, bias);
    SelfAttention attention = attention(config, bias);
    return LlamaLayout.decoder(
        "ERNIE 4.5", config, true, layer -> LlamaLayout.block(config, attention, feedForward));
  }

  static SelfAttention attention(ModelConfig config, boolean bias) {
    RopeSpec rope = Ropes.of(config, config.headDim()).withPairs(RopePairs.ADJACENT);
    return SelfAttention.of(config, 0).withBias(bias, bias).withRope(Optional.of(rope));
  }
}
