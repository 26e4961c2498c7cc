package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Granite with experts, and with layers that all tokens take, whose gate and up are one module. */
final class GraniteFamilies {
  private static final String GATE_UP = "shared_mlp.input_linear";
  private static final String DOWN = "shared_mlp.output_linear";

  /**
   * Of those with one architecture, files are read as the first: version 4 without Mamba-2 as the
   * versions before.
   */
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          shared(mixture(granite("granitemoeshared", "GraniteMoeSharedForCausalLM", "granitemoe")))
              .marker("ffn_gate_shexp.weight")
              .build(),
          mixture(granite("granitemoe", "GraniteMoeForCausalLM", "granitemoe")).build(),
          mamba(dense(hybrid("granitehybrid"))),
          mamba(shared(mixture(hybrid("granitehybrid")))),
          dense(hybrid("granite")).build(),
          shared(mixture(hybrid("granitemoe"))).build());

  private GraniteFamilies() {}

  private static GgufFamilyBuilder hybrid(String architecture) {
    return granite("granitemoehybrid", "GraniteMoeHybridForCausalLM", architecture);
  }

  private static GgufFamilyBuilder granite(String type, String modelClass, String architecture) {
    return GgufLayouts.llamaLike(type, modelClass, architecture)
        .pairsNeighbours()
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .real("embedding_scale", "embedding_multiplier", 1)
        .real("residual_scale", "residual_multiplier", 1)
        .real("attention.scale", "attention_multiplier", 1)
        .real("logit_scale", "logits_scaling", 1)
        .fixed("attention_bias", false, false);
  }

  private static GgufFamilyBuilder mixture(GgufFamilyBuilder family) {
    return family
        .modules("block_sparse_moe.router.layer", "ffn_gate_inp")
        .experts("block_sparse_moe.experts.", "w1", "w3", "w2")
        .whole("expert_count", "num_local_experts")
        .whole("expert_used_count", "num_experts_per_tok");
  }

  private static GgufFamilyBuilder shared(GgufFamilyBuilder family) {
    return family
        .modules(
            GATE_UP,
            "ffn_gate_shexp",
            GATE_UP + GgufOrder.Cut.LAST,
            "ffn_up_shexp",
            DOWN,
            "ffn_down_shexp")
        .whole("expert_shared_feed_forward_length", "shared_intermediate_size", 1024);
  }

  private static GgufFamilyBuilder dense(GgufFamilyBuilder family) {
    return family.modules(
        GATE_UP, "ffn_gate", GATE_UP + GgufOrder.Cut.LAST, "ffn_up", DOWN, "ffn_down");
  }

  private static GgufFamily mamba(GgufFamilyBuilder family) {
    return MambaFamilies.numbered(family)
        .fixed("mamba_expand", 2, 2)
        .trait(Trait.MIXED_BLOCKS)
        .trait(Trait.PERHAPS_ROTATED)
        .build();
  }
}
