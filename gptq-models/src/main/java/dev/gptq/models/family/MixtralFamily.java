package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;

/** Mixtral: Mistral with experts. */
final class MixtralFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("mixtral");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_local_experts");
    Experts experts =
        new Experts(
            "block_sparse_moe.gate",
            config.size("hidden_size"),
            Routing.softmax(config.intBetween("num_experts_per_tok", 1, count), true),
            experts(config, "block_sparse_moe.experts.", count));
    return LlamaLayout.decoder(
        "Mixtral",
        config,
        false,
        layer ->
            LlamaLayout.block(
                config,
                SelfAttention.of(config, LlamaLayout.window(config, layer, true)),
                experts));
  }

  /** Mixtral's experts, below {@code prefix} and their number. */
  static ImmutableList<Body> experts(ModelConfig config, String prefix, int count) {
    return FusedExperts.below(prefix).split(count, e -> expert(config, prefix + e + "."));
  }

  static FeedForward expert(ModelConfig config, String prefix) {
    Activation function = Switches.activation(config, "hidden_act", "silu");
    return new FeedForward(
        prefix + "w1",
        prefix + "w3",
        prefix + "w2",
        config.size("hidden_size"),
        config.size("intermediate_size"),
        function,
        false);
  }
}
