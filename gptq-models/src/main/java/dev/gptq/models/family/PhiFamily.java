package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
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
    int hidden = config.intValue("hidden_size");
    int inner = config.intValue("intermediate_size");
    Activation function = Switches.activation(config, "hidden_act", "silu");
    SelfAttention attention = SelfAttention.of(config, LlamaLayout.window(config, 0, true));
    int queries = attention.shape().heads() * attention.shape().headSize();
    int keys = attention.shape().keyValueHeads() * attention.shape().headSize();
    int fused = queries + 2 * keys;
    ImmutableList<Step> steps =
        ImmutableList.<Step>builder()
            .addAll(
                LlamaLayout.attended(
                    config,
                    ImmutableList.<Step>builder()
                        .add(one("n", "self_attn.qkv_proj", "qkv", fused, hidden))
                        .add(
                            new Step.Split(
                                "qkv",
                                1,
                                ImmutableList.of(
                                    new Part("q", queries),
                                    new Part("k", keys),
                                    new Part("v", keys))))
                        .addAll(attention.rotated("o"))
                        .build()))
            .add(one("m", "mlp.gate_up_proj", "gateup", 2 * inner, hidden))
            .add(
                new Step.Split(
                    "gateup", 1, ImmutableList.of(new Part("gate", inner), new Part("up", inner))))
            .add(new Step.Gate(function, "gate", "up"))
            .add(one("gate", "mlp.down_proj", "d", hidden, inner))
            .add(new Step.Add("d", "x"))
            .build();
    return LlamaLayout.decoder("Phi-3", config, layer -> steps);
  }

  private static Step one(String in, String module, String out, int outputs, int inputs) {
    return new Step.Linears(
        in, ImmutableList.of(new LinearSpec(module, out, outputs, inputs, false)));
  }
}
