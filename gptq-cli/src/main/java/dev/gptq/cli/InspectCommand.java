package dev.gptq.cli;

import static java.util.stream.Collectors.counting;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.joining;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.report.WeightPlot;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.study.ModuleWeights;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Describes a checkpoint and checks it. */
@Command(
    name = "inspect",
    description =
        "Describes a checkpoint: architecture, modules, shapes, dtypes, quantization settings;"
            + " checks that every tensor is there and fits.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class InspectCommand implements Callable<Integer> {
  private static final int BINS = 25;

  @Parameters(
      paramLabel = "MODEL",
      description = "model folder, GGUF file, or [hf:]owner/name[@revision]")
  private String folder;

  @Option(
      names = "--weights",
      paramLabel = "MODULE",
      description = "also show a histogram of a module's weights")
  private String weights;

  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  /** What was found out about a module. */
  private record Module(
      String name,
      int outputs,
      int inputs,
      String stored,
      Optional<String> settings,
      List<String> warnings) {}

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    try (Model model = Model.open(HubFiles.model(folder, console))) {
      List<Module> modules = new ArrayList<>();
      for (BlockSpec block : model.spec().blocks()) {
        block.linears().forEach(linear -> modules.add(inspect(model, block, linear)));
      }
      if (output.json()) {
        console.result(JsonOutput.line(json(model, modules)));
      } else {
        print(model, modules, console);
      }
      if (weights != null) {
        new WeightPlot(ModuleWeights.of(model, weights).distribution(BINS))
            .lines()
            .forEach(console::result);
      }
    }
    return ExitStatus.DONE;
  }

  private static Module inspect(Model model, BlockSpec block, LinearSpec linear) {
    String name = block.nameOf(linear);
    Optional<StoredLinear> codes =
        model.codes().filter(linears -> linears.has(name)).map(linears -> linears.read(name));
    if (codes.isPresent()) {
      StoredLinear stored = codes.get();
      PackedMatrix matrix = stored.matrix();
      Optional<String> type = model.blockType(name);
      return new Module(
          name,
          matrix.rows(),
          matrix.columns(),
          type.map(blocks -> blocks + ", ").orElse("")
              + matrix.bits()
              + " bits, "
              + matrix.groups()
              + (matrix.groups() == 1 ? " group" : " groups")
              + (matrix.scheme().hasZeroPoint() ? ", zero points" : "")
              + (matrix.groupOf().isPresent() ? ", irregular g_idx" : ""),
          Optional.of(type.orElseGet(() -> ModuleSettings.of(matrix).describe())),
          stored.warnings());
    }
    StoredTensor tensor = model.checkpoint().require(name + ".weight");
    return new Module(
        name, linear.outputs(), linear.inputs(), tensor.type().name(), Optional.empty(), List.of());
  }

  private static void print(Model model, List<Module> modules, Console console) {
    console.result(
        String.format(
            Locale.ROOT,
            "%s: %s, %d blocks, hidden size %d, vocabulary %d, context %d",
            model.path(),
            model.spec().family(),
            model.spec().blocks().size(),
            model.spec().hidden(),
            model.spec().vocabulary(),
            model.spec().context()));
    console.result(
        String.format(
            Locale.ROOT,
            "%d tensors, %.1f MB",
            model.checkpoint().names().size(),
            model.checkpoint().totalBytes() / 1e6));
    console.result(quantization(model, modules));
    Table table = new Table("module", "outputs", "inputs", "stored as");
    for (Module module : modules) {
      table.row(
          module.name(),
          String.valueOf(module.outputs()),
          String.valueOf(module.inputs()),
          module.stored());
    }
    table.lines().forEach(console::result);
    Set<String> warnings = new LinkedHashSet<>(model.warnings());
    modules.forEach(module -> warnings.addAll(module.warnings()));
    warnings.forEach(warning -> console.result("warning: " + warning));
    console.result(warnings.isEmpty() ? "checks passed" : "checks passed with warnings");
  }

  /** How the modules are quantized, and how many where they differ. */
  private static String quantization(Model model, List<Module> modules) {
    Map<String, Long> counts =
        modules.stream()
            .flatMap(module -> module.settings().stream())
            .collect(groupingBy(Function.identity(), LinkedHashMap::new, counting()));
    String format = model.quantization().map(q -> q.format().id()).orElse("gguf");
    return switch (counts.size()) {
      case 0 -> "not quantized";
      case 1 ->
          "quantized: "
              + model
                  .quantization()
                  .map(q -> q.base().describe())
                  .orElse(counts.keySet().iterator().next())
              + ", format "
              + format;
      default ->
          "quantized: "
              + counts.entrySet().stream()
                  .map(kind -> "%d modules %s".formatted(kind.getValue(), kind.getKey()))
                  .collect(joining("; "))
              + "; format "
              + format;
    };
  }

  private static ObjectNode json(Model model, List<Module> modules) {
    ObjectNode document =
        JsonOutput.object()
            .put("command", "inspect")
            .put("model", model.path().toString())
            .put("family", model.spec().family())
            .put("blocks", model.spec().blocks().size())
            .put("hidden", model.spec().hidden())
            .put("vocabulary", model.spec().vocabulary())
            .put("context", model.spec().context())
            .put("tensors", model.checkpoint().names().size())
            .put("bytes", model.checkpoint().totalBytes());
    ArrayNode oddities = document.putArray("warnings");
    model.warnings().forEach(oddities::add);
    model.quantization().ifPresent(q -> document.set(Formats.KEY, q.settings()));
    ArrayNode list = document.putArray("modules");
    for (Module module : modules) {
      ObjectNode entry =
          list.addObject()
              .put("name", module.name())
              .put("rows", module.outputs())
              .put("columns", module.inputs())
              .put("stored", module.stored());
      ArrayNode warnings = entry.putArray("warnings");
      module.warnings().forEach(warnings::add);
    }
    return document;
  }
}
