package dev.gptq.models.text;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/**
 * A file with text, which may be compressed as a whole.
 *
 * @param path where it is
 * @param name in small letters, without the ending of the compression
 * @param compression how it is compressed
 */
public record TextFile(Path path, String name, Optional<Compression> compression) {
  /** Finds out about a file by its name. */
  static TextFile of(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new BadInputException(path + " does not exist or is no file; give a text file");
    }
    String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
    Optional<Compression> compression = TextKinds.compression(name);
    return new TextFile(
        path,
        name.substring(0, name.length() - compression.map(c -> c.ending().length()).orElse(0)),
        compression);
  }

  /** Its bytes, decompressed. */
  public InputStream open() throws IOException {
    InputStream raw = Files.newInputStream(path);
    try {
      return compression.isPresent() ? compression.get().open(raw) : raw;
    } catch (IOException | RuntimeException e) {
      raw.close();
      throw e;
    }
  }

  @Override
  public String toString() {
    return path.toString();
  }
}
