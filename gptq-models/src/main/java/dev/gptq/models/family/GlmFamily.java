package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * GLM-4: half of each head is rotated, neighbouring channels together, and gate and up are one
 * module. The models named glm4 have norms behind attention and feed-forward as well.
 */
final class GlmFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("glm", "glm4");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    boolean sandwiched = given.modelType().equals("glm4");
    ModelConfig config = given.or(ImmutableMap.of("head_dim", 128, "partial_rotary_factor", 0.5));
    RopeSpec rope = Ropes.of(config, config.headDim()).withPairs(RopePairs.ADJACENT);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(config.booleanValue("attention_bias", !sandwiched), false)
            .withRope(Optional.of(rope));
    FusedFeedForward feedForward =
        new FusedFeedForward(
            "mlp.gate_up_proj",
            "mlp.down_proj",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "silu"));
    ImmutableList<Step> block =
        sandwiched
            ? Branch.block(
                Branch.between(
                    LlamaLayout.norm(config, "input_layernorm"),
                    attention,
                    LlamaLayout.norm(config, "post_self_attn_layernorm")),
                Branch.between(
                    LlamaLayout.norm(config, "post_attention_layernorm"),
                    feedForward,
                    LlamaLayout.norm(config, "post_mlp_layernorm")))
            : LlamaLayout.block(config, attention, feedForward);
    return LlamaLayout.decoder("GLM-4", config, false, layer -> block);
  }
}
