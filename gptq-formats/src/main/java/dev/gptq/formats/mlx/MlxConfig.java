package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
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
  private static final String PARTIAL = "partial_rotary_factor";
  private static final String SCALING = "rope_scaling";
  private static final String FULL = "full_attention";
  private static final String SLIDING = "sliding_attention";

  private MlxConfig() {}

  static void complete(ObjectNode config, ObjectNode settings) {
    config.set(Formats.MLX_KEY, settings);
    config.set(Formats.KEY, settings.deepCopy());
    Optional<ObjectNode> rope = object(config, ROPE);
    Optional<ObjectNode> full = rope.flatMap(r -> object(r, FULL)).or(() -> rope);
    full.ifPresent(r -> rope(config, r));
    rope.flatMap(r -> object(r, SLIDING))
        .map(r -> r.get(THETA))
        .ifPresent(theta -> add(config, "rope_local_base_freq", theta));
    if (config.get("layer_types") instanceof ArrayNode layers) {
      if (config.path("model_type").asString("").equals("exaone4")) {
        // A letter a layer, where others have the distance of two layers.
        StringBuilder letters = new StringBuilder();
        layers.forEach(layer -> letters.append(layer.asString("").equals(FULL) ? 'G' : 'L'));
        add(config, PATTERN, config.stringNode(letters.toString()));
      }
      for (int i = 0; i < layers.size(); i++) {
        if (layers.get(i).asString("").equals(FULL) && i > 0) {
          add(config, PATTERN, config.numberNode(i + 1));
          break;
        }
      }
    }
    if (config.has("num_local_experts")) {
      add(config, "num_experts", config.get("num_local_experts"));
    }
  }

  private static void rope(ObjectNode config, ObjectNode rope) {
    for (String key : ImmutableList.of(THETA, PARTIAL)) {
      if (rope.has(key)) {
        add(config, key, rope.get(key));
      }
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
