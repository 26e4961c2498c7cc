package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * MiniCPM 3: the latent attention of DeepSeek V2 whose halves of a head turn together, factors on
 * embeddings, branches and logits.
 */
final class MiniCpmFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("minicpm3");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    int hidden = given.size("hidden_size");
    int heads = given.headsOf(hidden, "num_attention_heads");
    ModelConfig config =
        given.or(
            ImmutableMap.<String, Object>builder()
                .put("v_head_dim", hidden / heads)
                .put("rms_norm_eps", 1e-5)
                .put("scale_emb", 12)
                .put("scale_depth", 1.4)
                .put("dim_model_base", 256)
                .buildOrThrow());
    int layers = config.blocks("num_hidden_layers");
    double root = Math.sqrt(layers);
    double factor = config.doubleValue("scale_depth", root) / root;
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    LatentAttention attention = LatentAttention.ofHalves(config);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "MiniCPM 3",
            config,
            true,
            layer ->
                Branch.block(
                    Branch.before(LlamaLayout.norm(config, "input_layernorm"), attention)
                        .withScale(factor),
                    Branch.before(LlamaLayout.norm(config, "post_attention_layernorm"), feedForward)
                        .withScale(factor)));
    float logits = (float) (config.doubleValue("dim_model_base", hidden) / hidden);
    return spec.withOpening(new Step.Scale((float) config.doubleValue("scale_emb"), Step.RESIDUAL))
        .withHead(new DecoderSpec.Head(spec.head().matrix(), Optional.empty(), logits, 0));
  }
}
