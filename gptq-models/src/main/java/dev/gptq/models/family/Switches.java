package dev.gptq.models.family;

import dev.gptq.backend.Activation;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.config.ModelConfig;

/** Settings of {@code config.json} that have to be understood; all others are refused by name. */
public final class Switches {
  private Switches() {}

  /** The activation function under a key. */
  public static Activation activation(ModelConfig config, String key, String fallback) {
    String name = config.stringValue(key, fallback);
    return switch (name) {
      case "silu", "swish" -> Activation.SILU;
      case "gelu", "gelu_python" -> Activation.GELU;
      case "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh" ->
          Activation.GELU_TANH;
      case "relu" -> Activation.RELU;
      case "relu2" -> Activation.RELU_SQUARED;
      case "sigmoid" -> Activation.SIGMOID;
      case "linear" -> Activation.IDENTITY;
      default ->
          throw refused(
              config,
              key,
              name,
              "silu, gelu, gelu_new, gelu_fast, gelu_accurate, gelu_pytorch_tanh, relu, relu2, sigmoid"
                  + " and linear are supported");
    };
  }

  /** Requires the only name that is supported, where there is one at all. */
  static void requireName(ModelConfig config, String key, String only) {
    String found = config.stringValue(key, only);
    if (!found.equals(only)) {
      throw refused(config, key, found, "only " + only + " is supported");
    }
  }

  /** Requires a truth value where only one of the two is supported. */
  public static void require(ModelConfig config, String key, boolean only) {
    boolean found = config.booleanValue(key, only);
    if (found != only) {
      throw refused(config, key, String.valueOf(found), "only " + only + " is supported");
    }
  }

  /** The error for a value that is not supported. */
  public static BadInputException refused(
      ModelConfig config, String key, String value, String remedy) {
    return new BadInputException(
        "%s: '%s' is %s, which is not supported for %s; %s"
            .formatted(config.file(), key, value, config.modelType(), remedy));
  }
}
