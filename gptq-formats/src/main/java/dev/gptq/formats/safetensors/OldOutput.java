package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What stands where output shall go. Only what this program wrote may be replaced: files of names
 * that it writes, and weights only where the settings beside them name it as their maker. Anything
 * else is refused, and so stays.
 */
final class OldOutput {
  /** Where this program names itself in what it has quantized: in the first that there is. */
  private static final ImmutableList<String> SETTINGS =
      ImmutableList.of("quantize_config.json", "config.json");

  private static final String MAKER = "\"gptq-java:";
  private static final long LARGEST_SETTINGS = 64_000_000;

  private static final Pattern WEIGHTS =
      Pattern.compile(
          "model(-\\d{5}-of-\\d{5})?\\.safetensors|[\\w.-]+\\.gguf|" + Checkpoint.INDEX_FILE);

  /** What models come with, and what is written about a run. */
  private static final ImmutableSet<String> USUAL =
      ImmutableSet.of(
          "config.json",
          "quantize_config.json",
          "generation_config.json",
          "tokenizer.json",
          "tokenizer.model",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json",
          "chat_template.jinja",
          "chat_template.json",
          "vocab.json",
          "merges.txt",
          "quantization-log.jsonl",
          "quantization-log.txt",
          "observation-log.jsonl",
          "budget-log.jsonl",
          "tuning-log.jsonl",
          "README.md",
          "LICENSE");

  private final Path folder;
  private final ImmutableSet<String> sideFiles;

  OldOutput(Path folder, ImmutableSet<String> sideFiles) {
    this.folder = folder;
    this.sideFiles = sideFiles;
  }

  /**
   * Throws {@link BadInputException} if anything in the folder is not this program's to replace.
   */
  void requireReplaceable() throws IOException {
    boolean weights = false;
    for (Path entry : entries()) {
      String name = entry.getFileName().toString();
      weights |= isWeights(name);
      if (!isKnown(entry, name)) {
        throw new BadInputException(
            "%s holds %s, which this program has not written, so the folder does not look like a"
                    .formatted(folder, name)
                + " checkpoint of it and is not replaced; move that away, or give another output"
                + " folder");
      }
    }
    if (weights && !isOurs()) {
      throw new BadInputException(
          "%s holds weights that this program has not written (its settings do not name it), so they are"
                  .formatted(folder)
              + " not replaced; give another output folder, or delete this one yourself");
    }
  }

  /** Whether every file has a name that this program writes. */
  boolean isKnown() throws IOException {
    for (Path entry : entries()) {
      if (!isKnown(entry, entry.getFileName().toString())) {
        return false;
      }
    }
    return true;
  }

  /** Deletes the folder; what says that its weights may be deleted goes last. */
  void delete() throws IOException {
    List<Path> entries =
        entries().stream()
            .sorted(
                Comparator.comparing(
                    (Path entry) -> SETTINGS.contains(entry.getFileName().toString())))
            .toList();
    for (Path entry : entries) {
      if (Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS)) {
        deleteFolder(entry);
      } else {
        Files.delete(entry);
      }
    }
    Files.delete(folder);
  }

  private boolean isKnown(Path entry, String name) throws IOException {
    if (!Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS)) {
      return isWeights(name) || USUAL.contains(name) || sideFiles.contains(name);
    }
    List<Path> files = list(entry);
    if (files.isEmpty()) {
      return false;
    }
    for (Path file : files) {
      if (Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS)
          || !sideFiles.contains(name + "/" + file.getFileName())) {
        return false;
      }
    }
    return true;
  }

  private static boolean isWeights(String name) {
    return WEIGHTS.matcher(name).matches();
  }

  private boolean isOurs() throws IOException {
    for (String name : SETTINGS) {
      Path settings = folder.resolve(name);
      if (Files.isRegularFile(settings)) {
        return Files.size(settings) <= LARGEST_SETTINGS
            && new String(Files.readAllBytes(settings), StandardCharsets.UTF_8).contains(MAKER);
      }
    }
    return false;
  }

  private static void deleteFolder(Path inner) throws IOException {
    for (Path file : list(inner)) {
      Files.delete(file);
    }
    Files.delete(inner);
  }

  private List<Path> entries() throws IOException {
    return list(folder);
  }

  private static List<Path> list(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.toList();
    }
  }
}
