package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.safetensors.DownloadCache;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * The files of a model folder that go along with its weights, such as tokenizer, chat templates and
 * licence. A link is followed only to where the folder's own files are: inside it, or in the blobs
 * of the download cache that it is a snapshot of. One that leads elsewhere is refused, because a
 * folder from elsewhere could so bring a private file of this machine into what will be published.
 */
final class SideFiles {
  private static final String CONFIG = "config.json";

  /** Written anew, or about an earlier run. */
  private static final ImmutableSet<String> OWN_FILES =
      ImmutableSet.of(CONFIG, ModelCard.FILE, QuantizationLog.FILE);

  private static final ImmutableSet<String> WEIGHT_ENDINGS =
      ImmutableSet.of(
          ".safetensors",
          ".safetensors.index.json",
          ".bin",
          ".bin.index.json",
          ".pt",
          ".pth",
          ".gguf",
          ".h5",
          ".msgpack",
          ".onnx",
          ".ot",
          ".tflite",
          ".ckpt",
          ".npz");

  /** The one folder that loaders look into. */
  private static final String TEMPLATES = "additional_chat_templates";

  private SideFiles() {}

  /**
   * The files by the names that they get. Throws {@link BadInputException} for a link that leads
   * out of the folder, those of {@code config.json} and of the model card included, which are
   * written anew with what they say.
   */
  static ImmutableMap<String, Path> of(Path folder) throws IOException {
    requireInside(folder.resolve(CONFIG), folder);
    if (Files.exists(folder.resolve(ModelCard.FILE))) {
      requireInside(folder.resolve(ModelCard.FILE), folder);
    }
    ImmutableMap.Builder<String, Path> files = ImmutableMap.builder();
    for (Path file : list(folder)) {
      String name = file.getFileName().toString();
      if (Files.isRegularFile(file) && isSideFile(name)) {
        requireInside(file, folder);
        files.put(name, file);
      }
    }
    Path templates = folder.resolve(TEMPLATES);
    if (Files.isDirectory(templates)) {
      for (Path file : list(templates)) {
        if (Files.isRegularFile(file)) {
          requireInside(file, folder);
          files.put(TEMPLATES + "/" + file.getFileName(), file);
        }
      }
    }
    return files.buildOrThrow();
  }

  private static boolean isSideFile(String name) {
    return !name.startsWith(".")
        && !OWN_FILES.contains(name)
        && Formats.all().stream().noneMatch(format -> format.ownFiles().contains(name))
        && WEIGHT_ENDINGS.stream().noneMatch(name::endsWith);
  }

  private static void requireInside(Path file, Path folder) throws IOException {
    if (!DownloadCache.isWithin(file.toRealPath(), folder.toRealPath())) {
      throw new BadInputException(
          "%s is a link to %s, outside the model's folder, and would be copied into the output; if"
                  .formatted(file, file.toRealPath())
              + " that is wanted, put a copy of the file in the place of the link");
    }
  }

  private static List<Path> list(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }
}
