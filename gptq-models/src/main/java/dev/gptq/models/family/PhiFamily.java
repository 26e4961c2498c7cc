package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Step.Split.Part;

/** Phi-3: Llama whose query, key and value matrices are one, and whose gate and up are one. */
final class PhiFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("phi3");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    int hidden = config.size("hidden_size");
    SelfAttention attention = SelfAttention.of(config, LlamaLayout.window(config, 0, true));
    FusedFeedForward feedForward =
        new FusedFeedForward(
            "mlp.gate_up_proj",
            "mlp.down_proj",
            hidden,
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "silu"));
    Body fused =
        (in, out) ->
            ImmutableList.<Step>builder()
                .add(
                    new Step.Linears(
                        in,
                        ImmutableList.of(
                            new LinearSpec(
                                "self_attn.qkv_proj",
                                "qkv",
                                attention.queries() + 2 * attention.keys(),
                                hidden,
                                false))))
                .add(
                    new Step.Split(
                        "qkv",
                        1,
                        ImmutableList.of(
                            new Part("q", attention.queries()),
                            new Part("k", attention.keys()),
                            new Part("v", attention.keys()))))
                .addAll(attention.prepared(out))
                .build();
    ImmutableList<Step> steps = LlamaLayout.block(config, fused, feedForward);
    return LlamaLayout.decoder("Phi-3", config, false, layer -> steps);
  }
}
