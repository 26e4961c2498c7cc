package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import java.util.stream.IntStream;

/** Mixtral: Mistral with experts. */
final class MixtralFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("mixtral");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    Experts experts =
        new Experts(
            "block_sparse_moe.gate",
            config.size("hidden_size"),
            Routing.softmax(
                config.intBetween(
                    "num_experts_per_tok",
                    1,
                    config.experts(config.blocks("num_hidden_layers"), "num_local_experts")),
                true),
            IntStream.range(
                    0, config.experts(config.blocks("num_hidden_layers"), "num_local_experts"))
                .<Body>mapToObj(e -> expert(config, "block_sparse_moe.experts.", e))
                .collect(ImmutableList.toImmutableList()));
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

  static FeedForward expert(ModelConfig config, String experts, int index) {
    String prefix = experts + index + ".";
    Activation function = Switches.activation(config, "hidden_act", "silu");
    return new FeedForward(
            prefix + "w1",
            prefix + "w3",
            prefix + "w2",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            function,
            false)
        .asExpert(index, FusedExperts.below(experts));
  }
}
