package dev.gptq.quantizer.run;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/** The formats that a run is to write, and what its checkpoints will say of its settings. */
public final class CheckpointFormats {
  private static final String GPTQ = "gptq";
  private static final String GPTQ_V2 = "gptq_v2";
  private static final String GGUF = "gguf";

  private CheckpointFormats() {}

  /** The checkpoints of the formats that are named, separated by commas. */
  static ImmutableList<CheckpointSettings> of(
      QuantizationSettings settings, Optional<String> names, GgufFormat gguf) {
    GptqOptions options = settings.options();
    Scheme scheme = options.grid().scheme();
    if (scheme == Scheme.HALF_OFFSET) {
      throw new RequestException(
          "the GPTQ format stores integer zero points, and half-offset grids have their zero"
              + " between two codes; measure them with 'gptq compare --scheme half-offset' or 'gptq"
              + " study', or write another scheme");
    }
    boolean symmetric = !scheme.hasZeroPoint();
    boolean descAct =
        settings.method() == QuantizationSettings.Method.GPTQ
            && options.order() == ColumnOrder.ACTIVATION
            && !options.staticGroups();
    ModuleSettings base =
        new ModuleSettings(options.grid().bits(), options.groupSize(), symmetric, descAct);
    JsonNodeFactory json = JsonNodeFactory.instance;
    ImmutableMap<String, JsonNode> meta =
        ImmutableMap.of(
            "scheme", json.stringNode(scheme.id()),
            "damp_percent", json.numberNode(options.damping()),
            "static_groups", json.booleanNode(options.staticGroups()),
            "true_sequential", json.booleanNode(settings.trueSequential()));
    return Splitter.on(',')
        .trimResults()
        .splitToStream(names.orElse(usual(options)))
        .distinct()
        .peek(name -> requireGguf(name, options))
        .map(name ->
            new CheckpointSettings(name.equals(GGUF) ? gguf : format(name, symmetric), base, meta))
        .collect(ImmutableList.toImmutableList());
  }

  private static String usual(GptqOptions options) {
    if (options.blocks().isPresent()) {
      return GGUF;
    }
    return options.grid().scheme().hasZeroPoint() ? GPTQ_V2 : GPTQ;
  }

  private static void requireGguf(String name, GptqOptions options) {
    if (options.blocks().isPresent() && !name.equals(GGUF)) {
      throw new RequestException(
          "only GGUF holds the blocks that --type names; leave out --format %s".formatted(name));
    }
  }

  private static Format format(String name, boolean symmetric) {
    if (name.equals(GPTQ) && !symmetric) {
      throw new RequestException(
          "--format gptq stores zero points less one and so cannot hold a zero point of 0, which"
              + " asymmetric grids have; use --format compressed-tensors, --format gptq_v2 or"
              + " --sym");
    }
    return named(name);
  }

  /** The format of a name. */
  public static Format named(String name) {
    return Formats.find(name)
        .orElseThrow(() ->
            new RequestException(
                "--format must be one of %s, %s but is %s".formatted(Formats.names(), GGUF, name)));
  }
}
