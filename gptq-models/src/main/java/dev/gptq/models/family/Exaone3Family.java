package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.HashMap;
import java.util.Map;

/** EXAONE 3, 3.5 and Deep: Llama, with GPT-2's names in the file and in the settings. */
final class Exaone3Family implements ModelFamily {
  private static final SelfAttention.Names ATTENTION =
      new SelfAttention.Names(
          "attn.attention.q_proj",
          "attn.attention.k_proj",
          "attn.attention.v_proj",
          "attn.attention.out_proj");

  /** Names of settings in published files, behind those that transformers 5 writes. */
  private static final ImmutableMap<String, String> OLDER =
      ImmutableMap.of(
          "num_hidden_layers", "num_layers",
          "rms_norm_eps", "layer_norm_epsilon",
          "hidden_act", "activation_function");

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("exaone");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    Map<String, Object> renamed = new HashMap<>();
    OLDER.forEach((name, old) -> given.find(old).ifPresent(value -> renamed.put(name, value)));
    ModelConfig config =
        given.or(renamed).or(ImmutableMap.of("rms_norm_eps", 1e-5, "rope_theta", 5e5));
    int hidden = config.size("hidden_size");
    boolean bias = config.booleanValue("attention_bias", false);
    FeedForward feedForward =
        new FeedForward(
            "mlp.c_fc_0",
            "mlp.c_fc_1",
            "mlp.c_proj",
            hidden,
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "silu"),
            config.booleanValue("mlp_bias", false));
    SelfAttention attention = SelfAttention.of(config, 0).withNames(ATTENTION).withBias(bias, bias);
    ImmutableList<Step> block =
        Branch.block(
            Branch.before(LlamaLayout.norm(config, "ln_1"), attention),
            Branch.before(LlamaLayout.norm(config, "ln_2"), feedForward));
    String embedding = "transformer.wte.weight";
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("transformer.h." + layer + ".", block));
    }
    return new DecoderSpec(
        "EXAONE 3",
        config.size("vocab_size"),
        hidden,
        config.context("max_position_embeddings", 4096),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec(
            "transformer.",
            ImmutableList.of(new Step.Norm("x", "x", LlamaLayout.norm(config, "ln_f")))),
        new DecoderSpec.Head(
            config.booleanValue("tie_word_embeddings", false) ? embedding : "lm_head.weight"),
        config.intList("eos_token_id"));
  }
}
