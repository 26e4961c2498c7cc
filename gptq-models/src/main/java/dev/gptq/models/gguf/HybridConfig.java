package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufValues;
import java.util.stream.IntStream;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What {@code config.json} says of blocks of several kinds. */
final class HybridConfig {
  private final GgufValues values;
  private final GgufFamily family;
  private final ObjectNode json;

  private HybridConfig(GgufValues values, GgufFamily family, ObjectNode json) {
    this.values = values;
    this.family = family;
    this.json = json;
  }

  /** Adds it to what is known already. */
  static void complete(GgufValues values, GgufFamily family, ObjectNode json) {
    HybridConfig config = new HybridConfig(values, family, json);
    switch (family.modelType()) {
      case "lfm2", "lfm2_moe" -> {
        config.kinds("layer_types", "conv", "full_attention");
        json.put("block_auto_adjust_ff_dim", false);
      }
      case "granitemoehybrid" -> {
        config.kinds("layer_types", "mamba", "attention");
        boolean rotated = values.truth(config.key("rope.scaling.finetuned")).orElse(true);
        json.put("position_embedding_type", rotated ? "rope" : "nope");
        if (family.experts().isEmpty()) {
          json.put("num_local_experts", 0);
          json.set("shared_intermediate_size", json.path("intermediate_size"));
        }
      }
      case "nemotron_h" -> config.things();
      case "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text" -> config.interval();
      case "falcon_h1" -> json.put("mamba_norm_before_gate", false);
      default -> {}
    }
  }

  private String key(String name) {
    return family.architecture() + "." + name;
  }

  /** Numbers of each block; one number is that of all. */
  private ImmutableList<Integer> each(String name) {
    int layers = json.path("num_hidden_layers").asInt();
    if (!values.isList(key(name))) {
      int all = values.integer(key(name)).orElseThrow(() -> missing(name));
      return IntStream.range(0, layers).mapToObj(_ -> all).collect(ImmutableList.toImmutableList());
    }
    ImmutableList<Number> numbers = values.numbers(key(name)).orElseThrow(() -> missing(name));
    requireEach(name, numbers.size(), layers);
    return numbers.stream()
        .limit(layers)
        .map(Number::intValue)
        .collect(ImmutableList.toImmutableList());
  }

  private BadInputException missing(String name) {
    return new BadInputException("%s: '%s' is missing".formatted(values.file(), key(name)));
  }

  /** A list says which blocks are recurrent, or every so manieth is not. */
  private void interval() {
    int layers = json.path("num_hidden_layers").asInt();
    int interval = values.integer(key("full_attention_interval")).orElse(4);
    ImmutableList<Boolean> recurrent =
        values
            .truths(key("attention.recurrent_layers"))
            .orElseGet(() ->
                IntStream.range(0, layers)
                    .mapToObj(layer -> (layer + 1) % interval != 0)
                    .collect(ImmutableList.toImmutableList()));
    requireEach("attention.recurrent_layers", recurrent.size(), layers);
    ArrayNode types = json.putArray("layer_types");
    for (boolean one : recurrent.subList(0, layers)) {
      types.add(one ? "linear_attention" : "full_attention");
    }
  }

  private void requireEach(String name, int count, int layers) {
    if (count < layers) {
      throw new BadInputException(
          "%s: '%s' has %d values for %d blocks; download the file again"
              .formatted(values.file(), key(name), count, layers));
    }
  }

  private static int most(ImmutableList<Integer> numbers) {
    return numbers.stream().mapToInt(Integer::intValue).max().orElse(0);
  }

  /** Blocks with heads of keys have attention. */
  private void kinds(String name, String without, String with) {
    ImmutableList<Integer> heads = each("attention.head_count_kv");
    ArrayNode types = json.putArray(name);
    for (int count : heads) {
      types.add(count == 0 ? without : with);
    }
    json.put("num_key_value_heads", most(heads));
  }

  /** Blocks are attention, a feed-forward network or experts, or else Mamba-2. */
  private void things() {
    ImmutableList<Integer> heads = each("attention.head_count_kv");
    ImmutableList<Integer> inner = each("feed_forward_length");
    ArrayNode types = json.putArray("layers_block_type");
    String forward = family.experts().isEmpty() ? "mlp" : "moe";
    for (int i = 0; i < heads.size(); i++) {
      types.add(inner.get(i) > 0 ? forward : heads.get(i) > 0 ? "attention" : "mamba");
    }
    json.put("num_key_value_heads", most(heads));
    if (family.experts().isEmpty()) {
      json.put("intermediate_size", most(inner));
    }
  }
}
