package dev.gptq.quantizer.run;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.export.Publication;
import dev.gptq.quantizer.export.Served;
import dev.gptq.quantizer.export.Server;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/** The formats that a run is to write, and what its checkpoints will say of its settings. */
public final class CheckpointFormats {
  private static final String GPTQ = "gptq";
  private static final String GPTQ_V2 = "gptq_v2";
  private static final String COMPRESSED = "compressed-tensors";
  private static final String GGUF = "gguf";

  private CheckpointFormats() {}

  /** The checkpoints of the formats that are named, separated by commas. */
  static ImmutableList<CheckpointSettings> of(
      QuantizationSettings settings,
      Optional<String> names,
      GgufFormat gguf,
      Publication publication) {
    GptqOptions options = settings.options();
    Scheme scheme = options.grid().scheme();
    if (scheme == Scheme.HALF_OFFSET) {
      throw new RequestException(
          "the GPTQ format stores integer zero points, and half-offset grids have their zero"
              + " between two codes; measure them with 'gptq compare --scheme half-offset' or 'gptq"
              + " study', or write another scheme");
    }
    ModuleSettings base = base(settings);
    JsonNodeFactory json = JsonNodeFactory.instance;
    ImmutableMap<String, JsonNode> meta =
        ImmutableMap.of(
            "scheme", json.stringNode(scheme.id()),
            "damp_percent", json.numberNode(options.damping()),
            "static_groups", json.booleanNode(options.staticGroups()),
            "true_sequential", json.booleanNode(settings.trueSequential()));
    return formats(options, names, gguf)
        .map(format -> new CheckpointSettings(format, base, meta, publication))
        .collect(ImmutableList.toImmutableList());
  }

  /**
   * The options with numbers that all of the formats hold: zero points from the least one on, and
   * scales of so many significant bits, or as few as a format takes without loss.
   */
  static GptqOptions stored(
      GptqOptions options, Optional<String> names, GgufFormat gguf, OptionalInt scaleBits) {
    GridSpec grid = options.grid();
    if (options.blocks().isPresent()) {
      return options;
    }
    boolean symmetric = !grid.scheme().hasZeroPoint();
    int leastZero = formats(options, names, gguf).mapToInt(Format::leastZero).max().orElseThrow();
    int survive =
        formats(options, names, gguf)
            .mapToInt(format -> format.scaleBits(grid.bits(), symmetric))
            .min()
            .orElseThrow();
    return options.withGrid(
        grid.withScaleBits(scaleBits.orElse(survive)).withLeastZero(symmetric ? 0 : leastZero));
  }

  private static Stream<Format> formats(
      GptqOptions options, Optional<String> names, GgufFormat gguf) {
    return Splitter.on(',')
        .trimResults()
        .splitToStream(names.orElse(usual(options)))
        .distinct()
        .peek(name -> requireGguf(name, options))
        .map(name -> name.equals(GGUF) ? gguf : named(name));
  }

  /** What most modules will be like. */
  private static ModuleSettings base(QuantizationSettings settings) {
    GptqOptions options = settings.options();
    return new ModuleSettings(
        options.grid().bits(),
        options.groupSize(),
        !options.grid().scheme().hasZeroPoint(),
        settings.method() == QuantizationSettings.Method.GPTQ
            && options.order() == ColumnOrder.ACTIVATION
            && !options.staticGroups());
  }

  /**
   * The format to write of a model where none is asked for: {@code gptq}, or {@code gptq_v2} for
   * zero points, unless a program runs the model in {@code compressed-tensors} only, or goes on
   * without some of its weights; the listener is told so then.
   *
   * @param mixed whether modules may get other settings than most
   */
  static String usual(
      Model model, QuantizationSettings settings, boolean mixed, Consumer<String> notes) {
    ModuleSettings base = base(settings);
    Served what = PlanNotes.served(model, settings, base, mixed);
    if (settings.options().blocks().isPresent()) {
      return GGUF;
    }
    String usual = usual(settings.options());
    Set<Server> only = new TreeSet<>(Server.running(COMPRESSED, what));
    only.removeAll(Server.running(usual, what));
    Set<Server> losing = new TreeSet<>(Arrays.asList(Server.values()));
    losing.removeIf(server -> !server.losesSilently(usual, what));
    only.removeAll(losing);
    if (only.isEmpty() && losing.isEmpty()) {
      return usual;
    }
    Format compressed = named(COMPRESSED);
    boolean holds =
        model.spec().blocks().stream()
            .flatMap(block ->
                block.linears().filter(linear -> settings.selection().test(block.nameOf(linear))))
            .allMatch(
                linear -> compressed.refusal(base, linear.outputs(), linear.inputs()).isEmpty());
    if (!holds) {
      return usual;
    }
    notes.accept(
        Stream.of(would(only, "refuse"), would(losing, "leave layers out of"))
                .flatMap(Optional::stream)
                .collect(Collectors.joining(" and "))
            + " such a model as "
            + usual
            + ", so it is written as "
            + COMPRESSED);
    return COMPRESSED;
  }

  private static Optional<String> would(Set<Server> servers, String what) {
    String titles = servers.stream().map(Server::title).collect(Collectors.joining(" and "));
    return Optional.of(titles + " would " + what).filter(words -> !servers.isEmpty());
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

  /** The format of a name. */
  public static Format named(String name) {
    return Formats.find(name)
        .orElseThrow(() ->
            new RequestException(
                "--format must be one of %s, %s but is %s".formatted(Formats.names(), GGUF, name)));
  }
}
