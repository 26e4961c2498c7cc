package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.safetensors.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** All formats of quantized checkpoints. */
public final class Formats {
  /** The key of the settings in {@code config.json}. */
  public static final String KEY = "quantization_config";

  /** The key under which MLX keeps them too, without a name of the method. */
  public static final String MLX_KEY = "quantization";

  /** Where older GPTQ checkpoints keep their settings. */
  private static final String OLD_FILE = "quantize_config.json";

  private static final ImmutableList<FormatProvider> PROVIDERS =
      ImmutableList.copyOf(ServiceLoader.load(FormatProvider.class));

  private Formats() {}

  /** All that can be written. */
  public static ImmutableList<Format> all() {
    return PROVIDERS.stream()
        .flatMap(provider -> provider.formats().stream())
        .collect(ImmutableList.toImmutableList());
  }

  /** The format of that {@link Format#id()}, or empty if there is none. */
  public static Optional<Format> find(String id) {
    return all().stream().filter(format -> format.id().equals(id)).findFirst();
  }

  /** Names of all formats that can be written, for messages. */
  public static String names() {
    return all().stream().map(Format::id).collect(Collectors.joining(", "));
  }

  /** Names of the formats that can hold a module, for messages. */
  public static String holding(ModuleSettings settings, int rows, int columns) {
    String names =
        all().stream()
            .filter(format -> format.refusal(settings, rows, columns).isEmpty())
            .map(Format::id)
            .collect(Collectors.joining(", "));
    return names.isEmpty() ? "no format can" : "these can: " + names;
  }

  /**
   * The quantized modules of a checkpoint, or empty if it is not quantized. Throws {@link
   * BadInputException} if it is quantized in a way that cannot be read.
   */
  public static Optional<PackedModules> open(JsonConfig config, Path folder, Checkpoint checkpoint)
      throws IOException {
    Optional<JsonConfig> settings = config.section(KEY);
    Optional<JsonConfig> ofMlx = config.section(MLX_KEY);
    if (ofMlx.isPresent() && settings.flatMap(Formats::method).isEmpty()) {
      return Optional.of(open("mlx", ofMlx.get(), checkpoint));
    }
    Path old = folder.resolve(OLD_FILE);
    if (settings.isEmpty() && Files.isRegularFile(old)) {
      settings = Optional.of(JsonConfig.read(old));
    }
    return settings.map(found -> open(method(found).orElse("gptq"), found, checkpoint));
  }

  /**
   * A checkpoint with a tensor for each expert where its files, in the form of any format, have
   * stacks of them.
   */
  public static Checkpoint split(Checkpoint checkpoint) {
    Checkpoint seen = checkpoint;
    for (FormatProvider provider : PROVIDERS) {
      seen = provider.split(seen);
    }
    return seen;
  }

  /** Whether a checkpoint holds the module in the form of any format, whatever it says. */
  public static boolean isPacked(Checkpoint checkpoint, String module) {
    return PROVIDERS.stream().anyMatch(provider -> provider.has(checkpoint, module));
  }

  /** What a checkpoint calls the way in which it is quantized. */
  private static Optional<String> method(JsonConfig settings) {
    return Stream.of("quant_method", "method")
        .map(settings::optionalString)
        .flatMap(Optional::stream)
        .findFirst();
  }

  private static PackedModules open(String method, JsonConfig settings, Checkpoint checkpoint) {
    return PROVIDERS.stream()
        .filter(provider -> provider.reads(method))
        .findFirst()
        .orElseThrow(() ->
            new BadInputException(
                "%s: the model is quantized with %s, which cannot be read; %s can"
                    .formatted(settings.file(), method, names())))
        .open(settings, checkpoint);
  }
}
