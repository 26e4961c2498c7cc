package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import java.util.Optional;
import java.util.ServiceLoader;

/** The kinds of files with text that are on the class path, told apart by their names. */
final class TextKinds {
  private static final ImmutableList<RowFormat> FORMATS =
      ImmutableList.copyOf(ServiceLoader.load(RowFormat.class, RowFormat.class.getClassLoader()));
  private static final ImmutableList<Compression> COMPRESSIONS =
      ImmutableList.copyOf(
          ServiceLoader.load(Compression.class, Compression.class.getClassLoader()));

  private TextKinds() {}

  /** How a file of that name is compressed, if it is. */
  static Optional<Compression> compression(String name) {
    return COMPRESSIONS.stream().filter(each -> name.endsWith(each.ending())).findFirst();
  }

  /** What reads the rows of a file of that name; empty for plain text. */
  static Optional<RowFormat> rows(String name) {
    return FORMATS.stream()
        .filter(format -> format.endings().stream().anyMatch(name::endsWith))
        .findFirst();
  }
}
