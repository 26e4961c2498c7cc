package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Rewrites a quantized checkpoint with the same codes, scales and zero points. */
public final class FormatConverter {
  /** What was declared is more exact about them than what was understood. */
  private static final ImmutableSet<String> KEPT =
      ImmutableSet.of("dynamic", "modules_in_block_to_quantize");

  private static final String VERSION = "version";
  private static final String META = "meta";
  private static final String QUANTIZER = "quantizer";

  private final Model model;
  private final PackedModules from;
  private final Format format;
  private final Publication publication;

  private FormatConverter(Model model, Format format, Publication publication) {
    this.model = model;
    this.from = model.quantization().orElseThrow();
    this.format = format;
    this.publication = publication;
  }

  /**
   * Writes {@code output} in another format and returns the number of packed modules.
   *
   * @throws BadInputException if the format cannot hold a module; nothing is written then
   */
  public static int convert(Model model, Format format, Path output, boolean overwrite)
      throws IOException {
    return convert(model, format, Publication.DEFAULT, output, overwrite);
  }

  /** The same with what its card says. */
  static int convert(
      Model model, Format format, Publication publication, Path output, boolean overwrite)
      throws IOException {
    return new FormatConverter(model, format, publication).convert(output, overwrite);
  }

  private int convert(Path output, boolean overwrite) throws IOException {
    Checkpoint source = model.checkpoint();
    ImmutableMap<String, ModuleSettings> modules = settings();
    Set<String> parts = new HashSet<>();
    for (String module : modules.keySet()) {
      source.names().stream().filter(name -> isPart(name, module)).forEach(parts::add);
    }
    requireNoOther(parts);
    ObjectNode configuration = configuration(modules);
    StoredType type = Descriptions.type(model);
    try (CheckpointWriter writer =
        CheckpointWriter.create(
            output,
            CheckpointExporter.options(model, format, publication.shardLimit(), overwrite))) {
      ExpertStacks stacks = new ExpertStacks(model, format);
      writer.addAll(() ->
          Stream.concat(
                  stacks.of(
                      source.names().stream()
                          .filter(name -> !parts.contains(name))
                          .map(source::require)),
                  model.spec().blocks().stream()
                      .flatMap(block -> stacks.of(encoded(block, modules, type))))
              .iterator());
      CheckpointExporter.writeSideFiles(
          model,
          new CheckpointSettings(format, from.base(), ImmutableMap.of(), publication),
          configuration,
          modules,
          writer);
      writer.commit();
    }
    return modules.size();
  }

  private Stream<StoredTensor> encoded(
      BlockSpec block, ImmutableMap<String, ModuleSettings> modules, StoredType type) {
    return block
        .linears()
        .map(block::nameOf)
        .filter(modules::containsKey)
        .flatMap(module -> encode(module, modules.get(module), type).stream());
  }

  private ImmutableList<StoredTensor> encode(
      String module, ModuleSettings settings, StoredType type) {
    Checkpoint source = model.checkpoint();
    return format.encode(
        new PackedModule(
            module,
            from.read(module).matrix(),
            settings,
            source.find(module + ".bias"),
            type,
            source.folder()));
  }

  private static boolean isPart(String tensor, String module) {
    return tensor.startsWith(module) && tensor.lastIndexOf('.') == module.length();
  }

  /** The settings of all quantized modules; checks that the format can hold them. */
  private ImmutableMap<String, ModuleSettings> settings() {
    ImmutableMap.Builder<String, ModuleSettings> all = ImmutableMap.builder();
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String name = block.nameOf(linear);
        if (from.has(name)) {
          PackedMatrix matrix = from.read(name).matrix();
          ModuleSettings settings = normal(ModuleSettings.of(matrix), matrix.columns());
          Optional<String> refusal = format.refusal(settings, matrix.rows(), matrix.columns());
          if (refusal.isPresent()) {
            throw new BadInputException(
                "%s: %s %s; %s"
                    .formatted(
                        name,
                        format.id(),
                        refusal.get(),
                        Formats.holding(settings, matrix.rows(), matrix.columns())));
          }
          all.put(name, settings);
        }
      }
    }
    return all.buildOrThrow();
  }

  /** Whole rows as the configuration calls them, which may be by their width. */
  private ModuleSettings normal(ModuleSettings settings, int columns) {
    boolean rows = settings.groupSize() == -1 && from.base().groupSize() == columns;
    return rows
        ? new ModuleSettings(settings.bits(), columns, settings.sym(), settings.descAct())
        : settings;
  }

  /** Codes of a module that is not known would keep the old format under the new name. */
  private void requireNoOther(Set<String> parts) {
    String codes = "." + from.format().parts().getFirst();
    for (String name : model.checkpoint().names()) {
      if (name.endsWith(codes) && !parts.contains(name)) {
        throw new BadInputException(
            "%s: %s belongs to a quantized module that no block of the model has, so its zero points"
                    .formatted(model.checkpoint().require(name).file(), name)
                + " cannot be converted with the others");
      }
    }
  }

  /**
   * The settings to write. Where the format is of the same kind they are those that are declared,
   * keys included that mean nothing here, but for what the format changes.
   */
  private ObjectNode configuration(ImmutableMap<String, ModuleSettings> modules) {
    ObjectNode declared = from.settings().deepCopy();
    ObjectNode ours = described(modules, declared);
    if (format.getClass() != from.format().getClass()) {
      return ours;
    }
    for (String key : KEPT) {
      if (declared.has(key)) {
        ours.remove(key);
      }
    }
    if (declared.has(VERSION) && !ours.has(VERSION)) {
      ours.put(VERSION, format.id());
    }
    ours.properties().forEach(setting -> declared.set(setting.getKey(), setting.getValue()));
    return declared;
  }

  /** The settings as the modules have them, with the notes on who quantized them. */
  private ObjectNode described(ImmutableMap<String, ModuleSettings> modules, ObjectNode declared) {
    Map<String, JsonNode> meta = new LinkedHashMap<>();
    if (declared.get(META) instanceof ObjectNode notes) {
      notes.properties().forEach(note -> meta.put(note.getKey(), note.getValue()));
    }
    meta.put("converter", GptqConfig.producer());
    ObjectNode ours =
        format.settings(
            Descriptions.of(
                model,
                new CheckpointSettings(format, from.base(), ImmutableMap.copyOf(meta), publication),
                modules));
    if (!meta.containsKey(QUANTIZER) && ours.get(META) instanceof ObjectNode notes) {
      notes.remove(QUANTIZER);
    }
    return ours;
  }
}
