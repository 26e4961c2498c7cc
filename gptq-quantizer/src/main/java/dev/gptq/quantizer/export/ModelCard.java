package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.models.Model;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The page of a quantized model on the hub, {@value #FILE}: front matter that lists it below its
 * original, the settings, what was measured, and how to run it. What the original's card says of
 * licence and language is carried over; the rest of that card is about other numbers and is not.
 */
public final class ModelCard {
  /** The file. */
  public static final String FILE = "README.md";

  private static final String BEGIN = "<!-- measured -->";
  private static final String END = "<!-- end of measured -->";

  private final Model model;
  private final CheckpointSettings settings;
  private final ImmutableMap<String, ModuleSettings> modules;
  private final Publication publication;
  private final FrontMatter original;

  private ModelCard(
      Model model,
      CheckpointSettings settings,
      ImmutableMap<String, ModuleSettings> modules,
      Publication publication)
      throws IOException {
    this.model = model;
    this.settings = settings;
    this.modules = modules;
    this.publication = publication;
    this.original = FrontMatter.read(model.folder().resolve(FILE));
  }

  /** The card of a checkpoint of {@code model} in which {@code modules} are quantized. */
  static byte[] of(
      Model model,
      CheckpointSettings settings,
      ImmutableMap<String, ModuleSettings> modules,
      Publication publication)
      throws IOException {
    return new ModelCard(model, settings, modules, publication)
        .text()
        .getBytes(StandardCharsets.UTF_8);
  }

  /**
   * Writes what was measured into the card of a finished checkpoint, in the place of what it said
   * before.
   *
   * @param place the folder, or a file in it
   * @param results lines of Markdown
   * @throws BadInputException if there is no card of this program
   */
  public static Path record(Path place, ImmutableList<String> results) throws IOException {
    Path card = Files.isDirectory(place) ? place.resolve(FILE) : place.resolveSibling(FILE);
    String text = Files.isRegularFile(card) ? Files.readString(card) : "";
    int begin = text.indexOf(BEGIN);
    int end = text.indexOf(END);
    if (begin < 0 || end < begin) {
      throw new BadInputException(
          card
              + " is no model card of this program, which 'quantize' and 'convert' write; leave out"
              + " --card");
    }
    Files.writeString(
        card,
        text.substring(0, begin + BEGIN.length())
            + "\n"
            + String.join("\n", results)
            + "\n"
            + text.substring(end));
    return card;
  }

  private String text() {
    List<String> lines = new ArrayList<>();
    lines.add("---");
    frontMatter().values().forEach(lines::add);
    lines.add("---");
    lines.add("");
    lines.add("# " + title());
    lines.add("");
    lines.add(
        base()
                .map(name -> "[%s](https://huggingface.co/%s)".formatted(name, name))
                .orElse(ModelNames.of(model, publication))
            + " with weights of "
            + bits()
            + " bits.");
    lines.add("");
    lines.add("| | |");
    lines.add("|---|---|");
    facts()
        .forEach((key, value) -> lines.add("| " + key + " | " + value.replace("|", "\\|") + " |"));
    lines.add("");
    lines.add("## Quality");
    lines.add("");
    lines.add(BEGIN);
    lines.add("Not measured yet.");
    lines.add(END);
    lines.add("");
    lines.add("## Running it");
    lines.add("");
    Served served = Served.of(model, modules::containsKey, modules.values(), false);
    String file = publication.weightFile().orElse("");
    for (Server server : Server.running(settings.format().id(), served)) {
      lines.add("- " + server.title() + ": `" + server.command(title(), file) + "`");
    }
    return String.join("\n", lines) + "\n";
  }

  private Optional<String> base() {
    return ModelNames.base(model, publication, original);
  }

  private String title() {
    return ModelNames.title(model, publication, settings);
  }

  private String bits() {
    ImmutableSet<Integer> widths =
        modules.values().stream()
            .map(ModuleSettings::bits)
            .sorted()
            .collect(ImmutableSet.toImmutableSet());
    return widths.size() == 1
        ? widths.iterator().next().toString()
        : widths.iterator().next() + " to " + widths.asList().getLast();
  }

  private Map<String, String> frontMatter() {
    Map<String, String> entries = new LinkedHashMap<>();
    base()
        .ifPresent(name -> {
          entries.put("base_model", "base_model: " + name);
          entries.put("base_model_relation", "base_model_relation: quantized");
        });
    String format = settings.format().id();
    entries.put(
        "library_name",
        "library_name: "
            + switch (format) {
              case "gguf" -> "gguf";
              case "mlx" -> "mlx";
              default -> "transformers";
            });
    entries.put("pipeline_tag", "pipeline_tag: text-generation");
    entries.putAll(original.carried());
    List<String> tags = new ArrayList<>(List.of("gptq"));
    if (!format.equals("gptq")) {
      tags.add(format.equals("gptq_v2") ? "gptqmodel" : format);
    }
    tags.add(settings.base().bits() + "-bit");
    entries.put("tags", "tags:\n" + String.join("\n", tags.stream().map(t -> "- " + t).toList()));
    return entries;
  }

  private ImmutableMap<String, String> facts() {
    ModuleSettings base = settings.base();
    ImmutableMap.Builder<String, String> facts = ImmutableMap.builder();
    facts.put("format", settings.format().id());
    facts.put("bits", bits());
    facts.put("group size", base.groupSize() == -1 ? "whole rows" : "" + base.groupSize());
    facts.put("grid", base.sym() ? "symmetric" : "asymmetric");
    facts.put("act-order", base.descAct() ? "yes, groups scattered" : "groups side by side");
    facts.put("quantized modules", Integer.toString(modules.size()));
    facts.putAll(publication.facts());
    facts.put("made with", GptqConfig.producer().get(0).stringValue());
    return facts.buildOrThrow();
  }
}
