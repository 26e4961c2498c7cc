package dev.gptq.quantizer.run;

import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.gptq.ModuleSettings;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.util.Optional;
import tools.jackson.databind.node.JsonNodeFactory;

/** What a checkpoint in the GPTQ format says of its settings; formats by their names. */
public final class GptqConfigs {
  private GptqConfigs() {}

  /** The settings that a checkpoint will carry. */
  static GptqConfig of(QuantizationSettings settings, Optional<String> format) {
    GptqOptions options = settings.options();
    Scheme scheme = options.grid().scheme();
    if (scheme == Scheme.HALF_OFFSET) {
      throw new RequestException(
          "the GPTQ format stores integer zero points, and half-offset grids have their zero"
              + " between two codes; measure them with 'gptq compare --scheme half-offset' or 'gptq"
              + " study', or write another scheme");
    }
    boolean symmetric = !scheme.hasZeroPoint();
    GptqConfig.Version version =
        format
            .map(GptqConfigs::version)
            .orElse(symmetric ? GptqConfig.Version.V1 : GptqConfig.Version.V2);
    if (version == GptqConfig.Version.V1 && !symmetric) {
      throw new RequestException(
          "--format gptq stores zero points less one and so cannot hold a zero point of 0, which"
              + " asymmetric grids have; use --format gptq_v2 or --sym");
    }
    boolean descAct =
        settings.method() == QuantizationSettings.Method.GPTQ
            && options.order() == ColumnOrder.ACTIVATION
            && !options.staticGroups();
    JsonNodeFactory json = JsonNodeFactory.instance;
    return GptqConfig.of(
            new ModuleSettings(options.grid().bits(), options.groupSize(), symmetric, descAct),
            version)
        .withMeta("scheme", json.stringNode(scheme.id()))
        .withMeta("damp_percent", json.numberNode(options.damping()))
        .withMeta("static_groups", json.booleanNode(options.staticGroups()))
        .withMeta("true_sequential", json.booleanNode(settings.trueSequential()));
  }

  /** The name of a format. */
  public static String name(GptqConfig.Version version) {
    return version == GptqConfig.Version.V1 ? "gptq" : "gptq_v2";
  }

  /** The format of a name. */
  public static GptqConfig.Version version(String name) {
    return switch (name) {
      case "gptq" -> GptqConfig.Version.V1;
      case "gptq_v2" -> GptqConfig.Version.V2;
      default -> throw new RequestException("--format must be gptq or gptq_v2 but is " + name);
    };
  }
}
