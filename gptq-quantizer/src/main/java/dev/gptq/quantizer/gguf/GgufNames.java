package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableMap;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where the tensors of a model stand in a GGUF file. */
final class GgufNames {
  private static final String ROUTER = "ffn_gate_inp";

  private static final ImmutableMap<String, String> ENDS =
      ImmutableMap.of(
          "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output");

  private static final ImmutableMap<String, String> OF_BLOCK =
      ImmutableMap.<String, String>builder()
          .put("input_layernorm", "attn_norm")
          .put("self_attn.q_proj", "attn_q")
          .put("self_attn.k_proj", "attn_k")
          .put("self_attn.v_proj", "attn_v")
          .put("self_attn.o_proj", "attn_output")
          .put("self_attn.q_norm", "attn_q_norm")
          .put("self_attn.k_norm", "attn_k_norm")
          .put("post_attention_layernorm", "ffn_norm")
          .put("mlp.gate_proj", "ffn_gate")
          .put("mlp.up_proj", "ffn_up")
          .put("mlp.down_proj", "ffn_down")
          .put("block_sparse_moe.gate", ROUTER)
          .buildOrThrow();

  private static final ImmutableMap<String, String> OF_EXPERT =
      ImmutableMap.of("w1", "ffn_gate_exps", "w3", "ffn_up_exps", "w2", "ffn_down_exps");

  private static final Pattern BLOCK = Pattern.compile("model\\.layers\\.(\\d+)\\.(.*)");
  private static final Pattern EXPERT =
      Pattern.compile("block_sparse_moe\\.experts\\.(\\d+)\\.(w\\d)");

  private GgufNames() {}

  /**
   * A place.
   *
   * @param name of the tensor in the file
   * @param expert which part of it, or −1 if the tensor is no expert's
   */
  record Place(String name, int expert) {
    /** Whether it is the matrix that chooses experts. */
    boolean isRouter() {
      return name.contains("." + ROUTER + ".");
    }

    /** Whether rows are those of rotated heads. */
    boolean isRotated() {
      return name.contains(".attn_q.") || name.contains(".attn_k.");
    }
  }

  /** The place of a tensor, if it has one. */
  static Optional<Place> find(String tensor) {
    int dot = tensor.lastIndexOf('.');
    String module = tensor.substring(0, dot);
    String suffix = tensor.substring(dot);
    Matcher block = BLOCK.matcher(module);
    if (!block.matches()) {
      return Optional.ofNullable(ENDS.get(module)).map(name -> new Place(name + suffix, -1));
    }
    String prefix = "blk." + block.group(1) + ".";
    Matcher expert = EXPERT.matcher(block.group(2));
    if (expert.matches()) {
      return Optional.ofNullable(OF_EXPERT.get(expert.group(2)))
          .map(name -> new Place(prefix + name + suffix, Integer.parseInt(expert.group(1))));
    }
    return Optional.ofNullable(OF_BLOCK.get(block.group(2)))
        .map(name -> new Place(prefix + name + suffix, -1));
  }
}
