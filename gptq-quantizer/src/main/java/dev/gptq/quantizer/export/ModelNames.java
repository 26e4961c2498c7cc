package dev.gptq.quantizer.export;

import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.safetensors.DownloadCache;
import dev.gptq.models.Model;
import dev.gptq.quantizer.gguf.GgufFormat;
import java.nio.file.Path;
import java.util.Optional;

/** What a quantized model and its files are called, as is usual on the hub. */
final class ModelNames {
  private static final String GGUF = ".gguf";

  private ModelNames() {}

  /** The name of the original on the hub, if anything says it. */
  static Optional<String> base(Model model, Publication publication, FrontMatter card) {
    return publication
        .baseModel()
        .or(() -> DownloadCache.repository(model.folder()))
        .or(() -> card.value("base_model"));
  }

  /** The name of the original without its owner. */
  static String of(Model model, Publication publication) {
    String name =
        publication
            .baseModel()
            .or(() -> DownloadCache.repository(model.folder()))
            .orElseGet(() -> {
              Path last = model.path().toAbsolutePath().normalize().getFileName();
              return last == null ? "model" : last.toString();
            });
    String own = name.substring(name.lastIndexOf('/') + 1);
    return own.endsWith(GGUF) ? own.substring(0, own.length() - GGUF.length()) : own;
  }

  /** The name of the quantized model: that of the original, and what was made of it. */
  static String title(Model model, Publication publication, CheckpointSettings settings) {
    String suffix =
        settings.format() instanceof GgufFormat
            ? "GGUF"
            : "%s-w%dg%s"
                .formatted(
                    settings.format().id(),
                    settings.base().bits(),
                    settings.base().groupSize() == -1 ? "row" : settings.base().groupSize());
    return of(model, publication) + "-" + suffix;
  }

  /** The file of a GGUF checkpoint: {@code Model-Q4_K_M.gguf}. */
  static String gguf(Model model, Publication publication, CheckpointSettings settings) {
    String type =
        settings.format() instanceof GgufFormat gguf && gguf.type().isPresent()
            ? gguf.type().get()
            : GgufType.of(settings.base()).name();
    return of(model, publication).replaceAll("[^A-Za-z0-9._-]", "-") + "-" + type + GGUF;
  }
}
