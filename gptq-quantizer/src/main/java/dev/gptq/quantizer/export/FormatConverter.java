package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableMultiset;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Multisets;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedLinears;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Rewrites a quantized checkpoint, or a GGUF file, with the same codes, scales and zero points. Of
 * asymmetric grids that are all symmetric in fact, as formats without symmetric ones hold them, it
 * makes symmetric ones.
 */
public final class FormatConverter {
  /** What was declared is more exact about them than what was understood. */
  private static final ImmutableSet<String> KEPT =
      ImmutableSet.of("dynamic", "modules_in_block_to_quantize");

  private static final String VERSION = "version";
  private static final String META = "meta";
  private static final String QUANTIZER = "quantizer";

  private final Model model;
  private final PackedLinears from;
  private final Format format;
  private final Publication publication;

  /** The format that the model has, if it is not one of GGUF. */
  private final Optional<PackedModules> declared;

  private final boolean centred;
  private final ImmutableMap<String, ModuleSettings> modules;
  private final ModuleSettings base;

  private FormatConverter(Model model, Format format, Publication publication) {
    this.model = model;
    this.from =
        model
            .codes()
            .orElseThrow(() ->
                new BadInputException(
                    model.path()
                        + " is not quantized; 'gptq quantize' makes a quantized checkpoint of it"));
    this.format = format;
    this.publication = publication;
    this.declared = model.quantization();
    this.centred =
        !isOfSameKind()
            && names().findAny().isPresent()
            && names().allMatch(name -> from.read(name).matrix().isCentred());
    this.modules = settings();
    this.base =
        declared.isPresent() && !centred ? declared.get().base() : mostOften(modules.values());
  }

  /**
   * For a model that is quantized.
   *
   * @throws BadInputException if it is not, or the format cannot hold a module
   */
  static FormatConverter of(Model model, Format format, Publication publication) {
    return new FormatConverter(model, format, publication);
  }

  /**
   * Writes {@code output} in another format and returns the number of packed modules.
   *
   * @throws BadInputException if the format cannot hold a module; nothing is written then
   */
  public static int convert(Model model, Format format, Path output, boolean overwrite)
      throws IOException {
    return of(model, format, Publication.DEFAULT).convert(output, overwrite);
  }

  /** What of the result decides which programs run it. */
  Served served() {
    return Served.of(model, modules::containsKey, modules.values(), false);
  }

  /** Writes the folder and returns the number of packed modules. */
  int convert(Path output, boolean overwrite) throws IOException {
    Checkpoint source = model.checkpoint();
    Set<String> parts = new HashSet<>();
    for (String module : modules.keySet()) {
      source.names().stream().filter(name -> isPart(name, module)).forEach(parts::add);
    }
    declared.ifPresent(found -> requireNoOther(found.format(), parts));
    ObjectNode configuration = configuration();
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
                  model.spec().blocks().stream().flatMap(block -> stacks.of(encoded(block, type))))
              .iterator());
      CheckpointExporter.writeSideFiles(
          model,
          new CheckpointSettings(format, base, ImmutableMap.of(), publication),
          configuration,
          modules,
          writer);
      writer.commit();
    }
    return modules.size();
  }

  /** The quantized modules of all blocks. */
  private Stream<String> names() {
    return model.spec().linearNames().filter(from::has);
  }

  private PackedMatrix matrix(String module) {
    PackedMatrix matrix = from.read(module).matrix();
    return centred ? matrix.centred() : matrix;
  }

  private boolean isOfSameKind() {
    return declared.filter(found -> found.format().getClass() == format.getClass()).isPresent();
  }

  private static ModuleSettings mostOften(Collection<ModuleSettings> settings) {
    return Multisets.copyHighestCountFirst(ImmutableMultiset.copyOf(settings)).iterator().next();
  }

  private Stream<StoredTensor> encoded(BlockSpec block, StoredType type) {
    return block
        .linears()
        .map(block::nameOf)
        .filter(modules::containsKey)
        .flatMap(module -> encode(module, type).stream());
  }

  private ImmutableList<StoredTensor> encode(String module, StoredType type) {
    Checkpoint source = model.checkpoint();
    return format.encode(
        new PackedModule(
            module,
            matrix(module),
            modules.get(module),
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
    for (String name : names().toList()) {
      PackedMatrix matrix = matrix(name);
      ModuleSettings settings = normal(ModuleSettings.of(matrix), matrix.columns());
      Optional<String> refusal = format.refusal(settings, matrix.rows(), matrix.columns());
      if (refusal.isPresent()) {
        throw new BadInputException(
            "%s: %s: %s %s; %s"
                .formatted(
                    model.path(),
                    name,
                    format.id(),
                    refusal.get(),
                    Formats.holding(settings, matrix.rows(), matrix.columns())));
      }
      all.put(name, settings);
    }
    ImmutableMap<String, ModuleSettings> settings = all.buildOrThrow();
    if (settings.isEmpty()) {
      throw new BadInputException(
          model.path() + " has no quantized modules; 'gptq quantize' makes a quantized checkpoint");
    }
    return settings;
  }

  /** Whole rows as the configuration calls them, which may be by their width. */
  private ModuleSettings normal(ModuleSettings settings, int columns) {
    boolean rows =
        settings.groupSize() == -1
            && declared.filter(found -> found.base().groupSize() == columns).isPresent();
    return rows
        ? new ModuleSettings(settings.bits(), columns, settings.sym(), settings.descAct())
        : settings;
  }

  /** Codes of a module that is not known would keep the old format under the new name. */
  private void requireNoOther(Format before, Set<String> parts) {
    String codes = "." + before.parts().getFirst();
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
  private ObjectNode configuration() {
    ObjectNode theirs =
        declared
            .map(found -> found.settings().deepCopy())
            .orElseGet(() -> JsonMapper.shared().createObjectNode());
    ObjectNode ours = described(theirs);
    if (!isOfSameKind()) {
      return ours;
    }
    for (String key : KEPT) {
      if (theirs.has(key)) {
        ours.remove(key);
      }
    }
    if (theirs.has(VERSION) && !ours.has(VERSION)) {
      ours.put(VERSION, format.id());
    }
    ours.properties().forEach(setting -> theirs.set(setting.getKey(), setting.getValue()));
    return theirs;
  }

  /** The settings as the modules have them, with the notes on who quantized them. */
  private ObjectNode described(ObjectNode theirs) {
    Map<String, JsonNode> meta = new LinkedHashMap<>();
    if (theirs.get(META) instanceof ObjectNode notes) {
      notes.properties().forEach(note -> meta.put(note.getKey(), note.getValue()));
    }
    meta.put("converter", GptqConfig.producer());
    ObjectNode ours =
        format.settings(
            Descriptions.of(
                model,
                new CheckpointSettings(format, base, ImmutableMap.copyOf(meta), publication),
                modules));
    if (!meta.containsKey(QUANTIZER) && ours.get(META) instanceof ObjectNode notes) {
      notes.remove(QUANTIZER);
    }
    return ours;
  }
}
