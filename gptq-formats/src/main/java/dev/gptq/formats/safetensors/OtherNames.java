package dev.gptq.formats.safetensors;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Weights under another name than {@code model.safetensors}: AutoGPTQ called them {@code
 * gptq_model-4bit-128g.safetensors} and the like, and said so in {@code quantize_config.json}.
 */
final class OtherNames {
  private static final String ENDING = ".safetensors";

  private OtherNames() {}

  /** The file of a folder. Throws {@link BadInputException} where none is meant clearly. */
  static Path find(Path folder) throws IOException {
    Optional<Path> declared = declared(folder);
    if (declared.isPresent()) {
      return declared.get();
    }
    List<Path> files;
    try (Stream<Path> entries = Files.list(folder)) {
      files =
          entries
              .filter(Files::isRegularFile)
              .filter(OtherNames::isVisibleWeights)
              .sorted()
              .toList();
    }
    if (files.size() == 1) {
      return files.getFirst();
    }
    throw new BadInputException(
        files.isEmpty()
            ? "%s holds neither %s nor %s; %s"
                .formatted(folder, Checkpoint.SINGLE_FILE, Checkpoint.INDEX_FILE, remedy(folder))
            : "%s holds %s, but no %s says which tensor is in which; download that file too"
                .formatted(folder, names(files), Checkpoint.INDEX_FILE));
  }

  private static Optional<Path> declared(Path folder) throws IOException {
    Path settings = folder.resolve("quantize_config.json");
    if (!Files.isRegularFile(settings)) {
      return Optional.empty();
    }
    // A plain name only: the settings may come from anywhere and must not lead out of the folder.
    return JsonConfig.read(settings)
        .optionalString("model_file_base_name")
        .filter(name -> !name.contains("/") && !name.contains("\\") && !name.contains("\0"))
        .map(name -> folder.resolve(name + ENDING))
        .filter(Files::isRegularFile);
  }

  private static boolean isVisibleWeights(Path file) {
    String name = file.getFileName().toString();
    return name.endsWith(ENDING) && !name.startsWith(".") && !name.startsWith("adapter_");
  }

  private static String names(List<Path> files) {
    return files.stream().map(f -> f.getFileName().toString()).collect(Collectors.joining(", "));
  }

  private static String remedy(Path folder) {
    return Files.exists(folder.resolve("pytorch_model.bin"))
            || Files.exists(folder.resolve("pytorch_model.bin.index.json"))
        ? "convert its PyTorch weights to safetensors first"
        : "give the folder of a checkpoint in safetensors format";
  }
}
