package dev.gptq.formats;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Keeps output away from what it is made of. */
public final class OutputPlace {
  private OutputPlace() {}

  /**
   * Throws {@link OutputPlaceException} if the output is a source, contains one, or lies inside
   * one, whatever links, mounts or upper and lower case say it is called. The output need not
   * exist; sources that do not exist are no concern.
   */
  public static void requireApart(Path output, Iterable<Path> sources) throws IOException {
    Path target = existing(output.toAbsolutePath().normalize());
    for (Path source : sources) {
      if (Files.exists(source)) {
        Path real = source.toRealPath();
        requireOutside(output, target, real);
        if (isSame(target, output) && isWithin(real, target)) {
          throw new OutputPlaceException(
              "the output %s contains %s, which is read; give a folder beside it"
                  .formatted(output, source));
        }
      }
    }
  }

  private static void requireOutside(Path output, Path target, Path source) throws IOException {
    if (isWithin(target, source)) {
      throw new OutputPlaceException(
          isSame(target, output) && Files.isSameFile(target, source)
              ? "the output %s is what is read; give another folder".formatted(output)
              : "the output %s lies inside %s, which is read; give a folder beside it"
                  .formatted(output, source));
    }
  }

  private static boolean isSame(Path existing, Path output) throws IOException {
    return Files.exists(output) && Files.isSameFile(existing, output);
  }

  /** The longest beginning of a path that exists, links resolved. */
  private static Path existing(Path absolute) throws IOException {
    Path path = absolute;
    while (!Files.exists(path)) {
      path = path.getParent();
    }
    return path.toRealPath();
  }

  private static boolean isWithin(Path inner, Path outer) throws IOException {
    for (Path path = inner; path != null; path = path.getParent()) {
      if (Files.isSameFile(path, outer)) {
        return true;
      }
    }
    return false;
  }
}
