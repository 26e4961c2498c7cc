package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Llama 1 to 3: RMS norm before attention and feed-forward, rotary positions, shared key/value
 * heads, SwiGLU. Its relatives change one thing each: InternLM 3 the names of its switches, Helium
 * which channels turn together, CWM has windows in three layers of four, Arcee no gate.
 */
final class LlamaFamily implements ModelFamily {

  private static final ImmutableMap<String, String> NAMES =
      ImmutableMap.of(
          "llama", "Llama",
          "internlm3", "InternLM 3",
          "helium", "Helium",
          "cwm", "CWM",
          "arcee", "Arcee");

  @Override
  public ImmutableSet<String> modelTypes() {
    return NAMES.keySet();
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(defaults(given));
    Body feedForward = feedForward(config);
    return LlamaLayout.decoder(
        NAMES.get(config.modelType()),
        config,
        false,
        layer -> LlamaLayout.block(config, attention(config, layer), feedForward));
  }

  private static ImmutableMap<String, ?> defaults(ModelConfig given) {
    return switch (given.modelType()) {
      case "internlm3" ->
          ImmutableMap.of(
              "head_dim",
              128,
              "rms_norm_eps",
              1e-5,
              "attention_bias",
              given.booleanValue("qkv_bias", false),
              "mlp_bias",
              given.booleanValue("bias", false));
      case "helium" -> ImmutableMap.of("head_dim", 128, "rms_norm_eps", 1e-8);
      case "cwm" ->
          ImmutableMap.of(
              "head_dim", 128, "rms_norm_eps", 1e-5, "rope_theta", 1e6, "sliding_window", 8192);
      case "arcee" -> ImmutableMap.of("rms_norm_eps", 1e-5, "hidden_act", "relu2");
      default -> ImmutableMap.of();
    };
  }

  private static SelfAttention attention(ModelConfig config, int layer) {
    boolean bias = config.booleanValue("attention_bias", false);
    return switch (config.modelType()) {
      case "helium" ->
          SelfAttention.of(config, 0)
              .withBias(bias, false)
              .withRope(
                  Optional.of(Ropes.of(config, config.headDim()).withPairs(RopePairs.ADJACENT)));
      case "cwm" -> SelfAttention.of(config, LlamaLayout.window(config, layer, layer % 4 != 0));
      default -> SelfAttention.of(config, 0).withBias(bias, bias);
    };
  }

  private static Body feedForward(ModelConfig config) {
    boolean bias = config.booleanValue("mlp_bias", false);
    return config.modelType().equals("arcee")
        ? new PlainFeedForward(
            "mlp.up_proj",
            "mlp.down_proj",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "relu2"),
            bias)
        : LlamaLayout.feedForward(config, bias);
  }
}
