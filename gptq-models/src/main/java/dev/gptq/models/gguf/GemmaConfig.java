package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufValues;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Collections;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What a {@code config.json} of Gemma 4 says of layers with a window and of those without. */
final class GemmaConfig {
  private static final String PREFIX = "gemma4.";

  /** Frequencies that are divided by as much stand still. */
  private static final float STILL = 1e29f;

  private final GgufFile file;
  private final GgufValues values;
  private final int layers;

  private GemmaConfig(GgufFile file) {
    this.file = file;
    this.values = file.values();
    this.layers = required("block_count");
  }

  /** Adds it. */
  static void add(GgufFile file, ObjectNode json) {
    new GemmaConfig(file).add(json);
  }

  private void add(ObjectNode json) {
    ImmutableList<Boolean> sliding =
        values
            .truths(PREFIX + "attention.sliding_window_pattern")
            .orElseThrow(() -> missing("attention.sliding_window_pattern"));
    List<Number> heads = list("attention.head_count_kv");
    List<Number> inner = list("feed_forward_length");
    if (sliding.size() != layers) {
      throw damaged("attention.sliding_window_pattern");
    }
    int full = required("attention.key_length");
    int windowed = number("attention.key_length_swa", full);
    json.put("head_dim", windowed);
    json.put("sliding_window", required("attention.sliding_window"));
    ArrayNode types = json.putArray("layer_types");
    ObjectNode own = json.putObject("per_layer_config");
    boolean valued = true;
    int usual = heads.getFirst().intValue();
    for (int layer = 0; layer < layers; layer++) {
      types.add(sliding.get(layer) ? "sliding_attention" : "full_attention");
      if (sliding.get(layer)) {
        usual = heads.get(layer).intValue();
      } else {
        own.putObject(String.valueOf(layer))
            .put("head_dim", full)
            .put("num_key_value_heads", heads.get(layer).intValue());
        String block = GgufFamily.BLOCKS + layer + ".";
        valued &=
            !file.tensors().containsKey(block + "attn_k.weight")
                || file.tensors().containsKey(block + "attn_v.weight");
      }
    }
    json.put("num_key_value_heads", usual);
    json.put("attention_k_eq_v", !valued);
    json.put("intermediate_size", inner.getFirst().intValue());
    json.put("use_double_wide_mlp", isTwice(inner));
    json.put("vocab_size_per_layer_input", json.path("vocab_size").intValue());
    ObjectNode rope = json.putObject("rope_parameters");
    rope.putObject("full_attention")
        .put("rope_type", "proportional")
        .put("rope_theta", real("rope.freq_base", 1e6))
        .put("partial_rotary_factor", rotated());
    rope.putObject("sliding_attention")
        .put("rope_type", "default")
        .put("rope_theta", real("rope.freq_base_swa", 1e4));
  }

  /** Whether layers that share keys are twice as wide as those before them. */
  private boolean isTwice(List<Number> inner) {
    int own = layers - number("attention.shared_kv_layers", 0);
    int width = inner.getFirst().intValue();
    int last = inner.getLast().intValue();
    for (int layer = 0; layer < layers; layer++) {
      if (inner.get(layer).intValue() != (layer < own ? width : last)) {
        throw damaged("feed_forward_length");
      }
    }
    if (last != width && last != 2 * width) {
      throw damaged("feed_forward_length");
    }
    return last != width;
  }

  /** The part of a head that turns where there is no window. */
  private double rotated() {
    if (!file.tensors().containsKey("rope_freqs.weight")) {
      return 1;
    }
    StoredTensor divisors = file.tensors().get("rope_freqs.weight").decoded("rope_freqs");
    int turning = 0;
    for (int i = 0; i < divisors.elements(); i++) {
      turning += Elements.get(divisors, i) < STILL ? 1 : 0;
    }
    return (double) turning / divisors.elements();
  }

  /** One for each layer, or the same for all. */
  private List<Number> list(String name) {
    if (!values.isList(PREFIX + name)) {
      return Collections.nCopies(layers, required(name));
    }
    List<Number> list = values.numbers(PREFIX + name).orElseThrow();
    if (list.size() != layers) {
      throw damaged(name);
    }
    return list;
  }

  private int number(String name, int otherwise) {
    return values.integer(PREFIX + name).orElse(otherwise);
  }

  private int required(String name) {
    return values.integer(PREFIX + name).orElseThrow(() -> missing(name));
  }

  private double real(String name, double otherwise) {
    return values
        .number(PREFIX + name)
        .map(value -> Double.parseDouble(Float.toString(value.floatValue())))
        .orElse(otherwise);
  }

  private BadInputException missing(String name) {
    return new BadInputException("%s: '%s%s' is missing".formatted(file.file(), PREFIX, name));
  }

  private BadInputException damaged(String name) {
    return new BadInputException(
        "%s: '%s%s' is none of a Gemma 4 of %d layers; download the file again"
            .formatted(file.file(), PREFIX, name, layers));
  }
}
