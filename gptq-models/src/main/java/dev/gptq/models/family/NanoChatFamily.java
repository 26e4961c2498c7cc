package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Nanochat: norms without gains, also of the embeddings and, behind the rotation, of the heads;
 * heads turn the other way round, a feed-forward layer without a gate, a soft cap on the logits.
 */
final class NanoChatFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("nanochat");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("final_logit_softcapping", 15.0));
    int hidden = config.size("hidden_size");
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withRope(Optional.of(Ropes.of(config, config.headDim()).reversed()))
            .withNorms(
                new SelfAttention.QueryKeyNorm(
                    norm(config, "self_attn.q_norm", config.headDim()),
                    norm(config, "self_attn.k_norm", config.headDim()),
                    true));
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.fc1",
            "mlp.fc2",
            hidden,
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "relu2"),
            false);
    NormSpec norm = norm(config, "norm", hidden);
    ImmutableList<Step> block =
        Branch.block(
            Branch.before(norm(config, "input_layernorm", hidden), attention),
            Branch.before(norm(config, "post_attention_layernorm", hidden), feedForward));
    DecoderSpec spec = LlamaLayout.decoder("Nanochat", config, false, norm, layer -> block);
    float cap = (float) config.doubleValue("final_logit_softcapping", 0);
    return spec.withOpening(new Step.Norm("x", "x", norm))
        .withHead(new DecoderSpec.Head(spec.head().matrix(), Optional.empty(), 1, cap));
  }

  private static NormSpec norm(ModelConfig config, String name, int size) {
    return new NormSpec(
        name, NormSpec.Kind.RMS_PLAIN, size, (float) config.doubleValue("rms_norm_eps", 1e-6));
  }
}
