package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.models.BadInputException;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.config.RopeParameters;
import dev.gptq.models.family.Step.Add;
import dev.gptq.models.family.Step.Attention;
import dev.gptq.models.family.Step.Gate;
import dev.gptq.models.family.Step.Linears;
import dev.gptq.models.family.Step.Norm;
import dev.gptq.models.family.Step.Rope;
import java.util.Optional;

/**
 * Llama 1 to 3: RMS norm before attention and feed-forward, rotary positions, shared key/value
 * heads, SwiGLU.
 */
final class LlamaFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("llama");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    if (!config.stringValue("hidden_act", "silu").equals("silu")) {
      throw new BadInputException(
          config.file()
              + ": hidden_act '"
              + config.stringValue("hidden_act", "")
              + "' is not supported for llama; it must be 'silu'");
    }
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.intValue("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("model.layers." + layer + ".", steps(config)));
    }
    String embedding = "model.embed_tokens.weight";
    return new DecoderSpec(
        "Llama",
        config.intValue("vocab_size"),
        config.intValue("hidden_size"),
        config.intValue("max_position_embeddings", 2048),
        embedding,
        blocks.build(),
        norm(config, "model.norm"),
        config.booleanValue("tie_word_embeddings", false) ? embedding : "lm_head.weight",
        Optional.of(rope(config)),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> steps(ModelConfig config) {
    int hidden = config.intValue("hidden_size");
    int inner = config.intValue("intermediate_size");
    int heads = config.intValue("num_attention_heads");
    int sharedHeads = config.intValue("num_key_value_heads", heads);
    int size = config.headDim();
    boolean attentionBias = config.booleanValue("attention_bias", false);
    boolean mlpBias = config.booleanValue("mlp_bias", false);
    AttentionSpec attention =
        new AttentionSpec(heads, sharedHeads, size, (float) (1 / Math.sqrt(size)), 0, 0, false);
    return ImmutableList.of(
        new Norm("x", "n", norm(config, "input_layernorm")),
        new Linears(
            "n",
            ImmutableList.of(
                new LinearSpec("self_attn.k_proj", "k", sharedHeads * size, hidden, attentionBias),
                new LinearSpec("self_attn.v_proj", "v", sharedHeads * size, hidden, attentionBias),
                new LinearSpec("self_attn.q_proj", "q", heads * size, hidden, attentionBias))),
        new Rope("q", size),
        new Rope("k", size),
        new Attention("q", "k", "v", "a", attention),
        new Linears(
            "a",
            ImmutableList.of(
                new LinearSpec("self_attn.o_proj", "o", hidden, heads * size, attentionBias))),
        new Add("o", "x"),
        new Norm("x", "m", norm(config, "post_attention_layernorm")),
        new Linears(
            "m",
            ImmutableList.of(
                new LinearSpec("mlp.up_proj", "up", inner, hidden, mlpBias),
                new LinearSpec("mlp.gate_proj", "gate", inner, hidden, mlpBias))),
        new Gate(Activation.SILU, "gate", "up"),
        new Linears(
            "gate", ImmutableList.of(new LinearSpec("mlp.down_proj", "d", hidden, inner, mlpBias))),
        new Add("d", "x"));
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return new NormSpec(
        name,
        NormSpec.Kind.RMS,
        config.intValue("hidden_size"),
        (float) config.doubleValue("rms_norm_eps", 1e-6));
  }

  private static RopeSpec rope(ModelConfig config) {
    RopeParameters rope = config.rope();
    double[] plain = RopeSpec.plain(rope.theta(), config.headDim());
    double[] frequencies =
        switch (rope.type()) {
          case "default" -> plain;
          case "linear" -> {
            double[] slower = plain.clone();
            for (int c = 0; c < slower.length; c++) {
              slower[c] /= rope.factor();
            }
            yield slower;
          }
          case "llama3" ->
              RopeSpec.llama3(
                  plain,
                  rope.factor(),
                  rope.lowFreqFactor(),
                  rope.highFreqFactor(),
                  rope.originalMaxPosition()
                      .orElseGet(() -> config.intValue("max_position_embeddings")));
          default ->
              throw new BadInputException(
                  config.file()
                      + ": rope type '"
                      + rope.type()
                      + "' is not supported for llama; known: default, linear, llama3");
        };
    return new RopeSpec(ImmutableDoubleArray.copyOf(frequencies), 1);
  }
}
