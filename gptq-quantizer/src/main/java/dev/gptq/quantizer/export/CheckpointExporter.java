package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.quantizer.gguf.GgufExport;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.store.KeptModule;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Writes a quantized checkpoint: packed modules, all other tensors as they are, side files. */
public final class CheckpointExporter {
  /**
   * Names this program in {@code config.json} where the settings may not have keys that their
   * loader does not know, so that the checkpoint is known as one that may be replaced.
   */
  private static final String MAKER = "quantized_by";

  private CheckpointExporter() {}

  /**
   * Writes and verifies the checkpoint. Throws {@link dev.gptq.formats.OutputPlaceException} if the
   * output is, contains, or lies inside the model.
   *
   * @param model the full-precision model
   * @param work its quantized blocks
   * @param settings how to write them
   * @param logs further files to write beside {@link QuantizationLog#FILE}, by name
   * @param output the folder to make
   * @param overwrite whether an existing folder may be replaced
   * @return why the check may have seen the system's cache and not the disk; empty if it saw that
   */
  public static Optional<String> export(
      Model model,
      WorkFolder work,
      CheckpointSettings settings,
      ImmutableMap<String, String> logs,
      Path output,
      boolean overwrite)
      throws IOException {
    try (CheckpointWriter writer = writer(model, settings, output, overwrite)) {
      if (settings.format() instanceof GgufFormat gguf) {
        Path first =
            GgufExport.write(
                model,
                kept(model, work),
                gguf,
                writer.weightFile(weightFile(model, settings)),
                settings.publication().shardSize());
        return finish(
            writer, model, work, settings.withWeightFile(first.getFileName().toString()), logs);
      } else {
        ImmutableMap<String, ModuleSettings> modules = modules(model, work, settings);
        ExpertStacks stacks = new ExpertStacks(model, settings.format());
        writer.addAll(() ->
            Stream.concat(
                    stacks.of(others(model, modules.keySet())),
                    IntStream.range(0, model.spec().blocks().size())
                        .boxed()
                        .flatMap(block ->
                            encoded(model, work.modules(block), settings.format(), modules, block)))
                .iterator());
      }
      return finish(writer, model, work, settings, logs);
    }
  }

  /** What writes a checkpoint. */
  static CheckpointWriter writer(
      Model model, CheckpointSettings settings, Path output, boolean overwrite) throws IOException {
    return CheckpointWriter.create(
        output, options(model, settings.format(), settings.publication().shardLimit(), overwrite));
  }

  /** Writes what stands beside the weights, and gives the checkpoint its name. */
  static Optional<String> finish(
      CheckpointWriter writer,
      Model model,
      WorkFolder work,
      CheckpointSettings settings,
      ImmutableMap<String, String> logs)
      throws IOException {
    StringBuilder log = new StringBuilder();
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      for (ModuleReport report : work.reports(block)) {
        log.append(QuantizationLog.line(report)).append('\n');
      }
    }
    byte[] reports = log.toString().getBytes(StandardCharsets.UTF_8);
    writer.writeFile(QuantizationLog.FILE, reports);
    for (Map.Entry<String, String> file : logs.entrySet()) {
      writer.writeFile(file.getKey(), file.getValue().getBytes(StandardCharsets.UTF_8));
    }
    ImmutableMap<String, ModuleSettings> modules = modules(model, work, settings);
    QuantizedModel description = Descriptions.of(model, settings, modules);
    writeSideFiles(model, settings, settings.format().settings(description), modules, writer);
    work.announce(reports);
    return writer.commit();
  }

  private static ImmutableMap<String, ModuleSettings> modules(
      Model model, WorkFolder work, CheckpointSettings settings) {
    ImmutableMap.Builder<String, ModuleSettings> modules = ImmutableMap.builder();
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      for (ModuleReport report : work.reports(block)) {
        modules.put(report.name(), settings(report.bits(), report.groupSize(), settings.base()));
      }
    }
    return modules.buildOrThrow();
  }

  private static GgufExport.Modules kept(Model model, WorkFolder work) {
    Map<String, Integer> blocks = new HashMap<>();
    for (int block = 0; block < model.spec().blocks().size(); block++) {
      for (ModuleReport report : work.reports(block)) {
        blocks.put(report.name(), block);
      }
    }
    return module ->
        Optional.ofNullable(blocks.get(module))
            .map(block -> work.modules(block).get(module).quantized().packed());
  }

  /** All tensors but those of modules that are packed. */
  static Stream<StoredTensor> others(Model model, Set<String> modules) {
    Set<String> packed = new HashSet<>();
    for (String module : modules) {
      packed.add(module + ".weight");
      packed.add(module + ".bias");
    }
    Checkpoint source = model.checkpoint();
    return source.names().stream().filter(name -> !packed.contains(name)).map(source::require);
  }

  /** What is said of a module. */
  static ModuleSettings settings(int bits, int groupSize, ModuleSettings base) {
    return new ModuleSettings(bits, groupSize, base.sym(), base.descAct());
  }

  /** The tensors of the quantized modules of a block, in the order of its modules. */
  static Stream<StoredTensor> encoded(
      Model model,
      ImmutableMap<String, KeptModule> kept,
      Format format,
      ImmutableMap<String, ModuleSettings> settings,
      int block) {
    StoredType type = Descriptions.type(model);
    BlockSpec spec = model.spec().blocks().get(block);
    List<PackedModule> modules =
        spec.linears()
            .map(spec::nameOf)
            .filter(kept::containsKey)
            .map(name -> {
              KeptModule module = kept.get(name);
              return new PackedModule(
                  name,
                  module.quantized().packed(),
                  settings.get(name),
                  module.bias(),
                  type,
                  module.file());
            })
            .toList();
    return new ExpertStacks(model, format)
        .of(
            IntStream.range(0, modules.size())
                .parallel()
                .mapToObj(i -> format.encode(modules.get(i)))
                .toList()
                .stream()
                .flatMap(List::stream));
  }

  /** Writes all places of the settings and copies tokenizer, generation settings and the like. */
  static void writeSideFiles(
      Model model,
      CheckpointSettings checkpoint,
      ObjectNode settings,
      ImmutableMap<String, ModuleSettings> modules,
      CheckpointWriter writer)
      throws IOException {
    Format format = checkpoint.format();
    ObjectNode document = model.config().json().deepCopy();
    document.remove(Formats.MLX_KEY);
    document.remove(MAKER);
    format.complete(document, settings);
    if (format.settingsFile().isEmpty()) {
      document.set(MAKER, GptqConfig.producer());
    }
    writer.writeFile("config.json", pretty(document));
    if (format.settingsFile().isPresent()) {
      writer.writeFile(format.settingsFile().get(), pretty(settings));
    }
    for (Map.Entry<String, Path> file : SideFiles.of(model.folder()).entrySet()) {
      writer.copyFile(file.getKey(), file.getValue());
    }
    writer.writeFile(
        ModelCard.FILE, ModelCard.of(model, checkpoint, modules, checkpoint.publication()));
  }

  /** The file of the weights of a GGUF checkpoint. */
  public static String weightFile(Model model, CheckpointSettings settings) {
    return ModelNames.gguf(model, settings.publication(), settings);
  }

  /**
   * Throws what can be known to be wrong with the place of the output, and with links in the model
   * folder, before the work begins.
   */
  public static void check(Model model, Path output, boolean overwrite) throws IOException {
    CheckpointWriter.check(output, options(model, overwrite));
  }

  /**
   * Throws {@link dev.gptq.formats.BadInputException} where a format cannot say which modules of a
   * model are quantized.
   *
   * @param modules settings of each that is
   */
  public static void checkSettings(
      Model model, CheckpointSettings settings, ImmutableMap<String, ModuleSettings> modules) {
    settings.format().settings(Descriptions.of(model, settings, modules));
  }

  /** How a checkpoint of a format is written that is made of a model. */
  static WriterOptions options(Model model, Format format, long shardLimit, boolean overwrite)
      throws IOException {
    return options(model, overwrite)
        .withShardLimit(shardLimit)
        .withMetadata(ImmutableMap.of("format", format.framework()));
  }

  private static WriterOptions options(Model model, boolean overwrite) throws IOException {
    ImmutableSet.Builder<Path> sources = ImmutableSet.builder();
    sources.add(model.path());
    sources.add(model.folder());
    for (String name : model.checkpoint().names()) {
      sources.add(model.checkpoint().require(name).file());
    }
    return WriterOptions.DEFAULT
        .withOverwrite(overwrite)
        .withSources(sources.build())
        .withSideFiles(SideFiles.of(model.folder()).keySet());
  }

  /** Bytes of the files that go along with the weights. */
  public static long sideBytes(Model model) throws IOException {
    return SideFiles.of(model.folder()).values().stream()
        .mapToLong(file -> file.toFile().length())
        .sum();
  }

  private static byte[] pretty(ObjectNode document) {
    return JsonMapper.shared()
        .writerWithDefaultPrettyPrinter()
        .writeValueAsString(document)
        .concat("\n")
        .getBytes(StandardCharsets.UTF_8);
  }
}
