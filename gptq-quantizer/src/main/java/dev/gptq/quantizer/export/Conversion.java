package dev.gptq.quantizer.export;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Format;
import dev.gptq.models.Model;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * Rewrites a quantized checkpoint, or a GGUF file, in another format with the same codes, scales
 * and zero points.
 */
public final class Conversion {
  private final Path model;
  private final Format format;
  private Publication publication = Publication.DEFAULT;
  private boolean overwrite;
  private Consumer<String> warnings = warning -> {};

  private Conversion(Path model, Format format) {
    this.model = model;
    this.format = format;
  }

  /** Of a quantized model. */
  public static Conversion of(Path model, Format format) {
    return new Conversion(model, format);
  }

  /** What the card of the output says of it, and how large its files are. */
  public Conversion publication(Publication what) {
    publication = what;
    return this;
  }

  /** Whether an existing output folder may be replaced. */
  public Conversion overwrite(boolean allowed) {
    overwrite = allowed;
    return this;
  }

  /** Who is told which programs refuse the result, before it is written. */
  public Conversion warnings(Consumer<String> told) {
    warnings = told;
    return this;
  }

  /**
   * Writes the folder and returns the number of packed modules.
   *
   * @throws BadInputException if the model is not quantized, or the format cannot hold its values
   */
  public int to(Path output) throws IOException {
    try (Model opened = Model.open(model)) {
      FormatConverter converter = FormatConverter.of(opened, format, publication);
      Server.refusals(format.id(), converter.served()).ifPresent(warnings);
      return converter.convert(output, overwrite);
    }
  }
}
