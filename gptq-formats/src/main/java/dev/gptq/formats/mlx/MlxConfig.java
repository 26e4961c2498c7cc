package dev.gptq.formats.mlx;

import dev.gptq.formats.packed.Formats;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.NullNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What mlx-lm looks for in {@code config.json}: the settings in two places, and some keys under the
 * names that transformers gave them before its release 5. Without those mlx-lm takes the defaults
 * of the architecture and computes something else.
 */
final class MlxConfig {
  private static final String ROPE = "rope_parameters";
  private static final String THETA = "rope_theta";
  private static final String PATTERN = "sliding_window_pattern";
  private static final String WINDOW = "sliding_window";
  private static final String TYPES = "layer_types";
  private static final String HEAD = "head_dim";
  private static final String KEYS = "num_key_value_heads";
  private static final String PARTIAL = "partial_rotary_factor";
  private static final String SCALING = "rope_scaling";
  private static final String FULL = "full_attention";
  private static final String SLIDING = "sliding_attention";

  /** Layers from one without a window to the next where EXAONE 4 does not say it. */
  private static final int EVERY = 4;

  private MlxConfig() {}

  static void complete(ObjectNode config, ObjectNode settings) {
    config.set(Formats.MLX_KEY, settings);
    config.set(Formats.KEY, settings.deepCopy());
    architecture(config);
    object(config, "text_config").ifPresent(MlxConfig::architecture);
  }

  private static void architecture(ObjectNode config) {
    Optional<ObjectNode> rope = object(config, ROPE);
    Optional<ObjectNode> full = rope.flatMap(r -> object(r, FULL)).or(() -> rope);
    full.ifPresent(r -> rope(config, r));
    if (full.equals(rope)) {
      // Where kinds of layers differ, the key would be that of all of them.
      full.map(r -> r.get(PARTIAL)).ifPresent(part -> add(config, PARTIAL, part));
    }
    if (config.path("model_type").asString("").equals("gpt_neox")) {
      full.map(r -> r.get(THETA)).ifPresent(theta -> add(config, "rotary_emb_base", theta));
      full.map(r -> r.get(PARTIAL)).ifPresent(part -> add(config, "rotary_pct", part));
    }
    rope.flatMap(r -> object(r, SLIDING))
        .map(r -> r.get(THETA))
        .ifPresent(theta -> add(config, "rope_local_base_freq", theta));
    if (config.path("model_type").asString("").equals("exaone4")) {
      letters(config);
    } else if (config.get(TYPES) instanceof ArrayNode layers) {
      for (int i = 1; i < layers.size(); i++) {
        if (isFull(layers.get(i))) {
          config.put(PATTERN, i + 1);
          break;
        }
      }
    }
    object(config, "per_layer_config").ifPresent(own -> widths(config, own));
    if (config.has("num_local_experts")) {
      add(config, "num_experts", config.get("num_local_experts"));
    }
  }

  /**
   * A letter a layer, L with a window and G without, where others have the distance of two layers
   * without one, which this architecture of mlx-lm refuses; null where no layer has a window.
   */
  private static void letters(ObjectNode config) {
    StringBuilder letters = new StringBuilder();
    int layers = config.path("num_hidden_layers").asInt(0);
    JsonNode pattern = config.path(PATTERN);
    for (int i = 0; i < layers; i++) {
      boolean full =
          config.get(TYPES) instanceof ArrayNode types
              ? isFull(types.path(i))
              : i == layers - 1
                  || (pattern.isString()
                      ? pattern.stringValue().charAt(i % pattern.stringValue().length()) == 'G'
                      : (i + 1) % pattern.asInt(EVERY) == 0);
      letters.append(full ? 'G' : 'L');
    }
    boolean windows = config.path(WINDOW).asInt(0) > 0 && letters.indexOf("L") >= 0;
    config.set(PATTERN, windows ? config.stringNode(letters.toString()) : NullNode.getInstance());
    add(config, WINDOW, NullNode.getInstance());
  }

  /**
   * What Gemma 4's layers without a window have of their own, which newer files say layer by layer.
   */
  private static void widths(ObjectNode config, ObjectNode own) {
    JsonNode layers = config.path(TYPES);
    for (int i = 0; i < layers.size(); i++) {
      if (isFull(layers.get(i))) {
        JsonNode layer = own.path(String.valueOf(i));
        JsonNode width = layer.has(HEAD) ? layer.get(HEAD) : config.path(HEAD);
        if (width.isNumber()) {
          add(config, "global_head_dim", width);
        }
        if (layer.has(KEYS)) {
          add(config, "num_global_key_value_heads", layer.get(KEYS));
        }
        return;
      }
    }
  }

  private static boolean isFull(JsonNode layer) {
    return layer.asString("").equals(FULL);
  }

  private static void rope(ObjectNode config, ObjectNode rope) {
    if (rope.has(THETA)) {
      add(config, THETA, rope.get(THETA));
    }
    if (rope.path("rope_type").asString("default").equals("default")) {
      // Some architectures of mlx-lm insist on the key.
      add(config, SCALING, NullNode.getInstance());
    } else {
      ObjectNode scaling = rope.deepCopy();
      scaling.remove(THETA);
      add(config, SCALING, scaling);
    }
  }

  private static Optional<ObjectNode> object(ObjectNode parent, String key) {
    return parent.get(key) instanceof ObjectNode found ? Optional.of(found) : Optional.empty();
  }

  /** Adds a key that is not there, or null. */
  private static void add(ObjectNode config, String key, JsonNode value) {
    if (!config.hasNonNull(key)) {
      config.set(key, value);
    }
  }
}
