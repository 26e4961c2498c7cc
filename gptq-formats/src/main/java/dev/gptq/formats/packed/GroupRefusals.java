package dev.gptq.formats.packed;

import dev.gptq.formats.BadInputException;
import java.util.Optional;

/**
 * Why some formats cannot hold some groups, as the ends of sentences that begin with a format's
 * name; see {@link Format#refusal}.
 */
public final class GroupRefusals {
  private GroupRefusals() {}

  /** Where the columns of a group stand side by side: those of scattered groups. */
  public static Optional<String> scattered(ModuleSettings settings) {
    return settings.descAct() && settings.groupSize() != -1
        ? Optional.of(
            "keeps the columns of a group side by side, and act-order without --static-groups"
                + " scatters them")
        : Optional.empty();
  }

  /** What is thrown where a format keeps zero points as integers of so many bits. */
  public static BadInputException noInteger(String module, float zero, String format) {
    return new BadInputException(
        "module '%s': zero point %s cannot be stored in %s, which has whole ones; mlx takes others,"
                .formatted(module, zero, format)
            + " or quantize with the scheme sym or asym");
  }

  /** Where all groups of a row are equally long: rows whose last group is shorter. */
  public static Optional<String> uneven(ModuleSettings settings, int columns) {
    return settings.groupSize() != -1 && columns % settings.groupSize() != 0
        ? Optional.of(
            "needs groups that divide a row, and %d is no multiple of %d"
                .formatted(columns, settings.groupSize()))
        : Optional.empty();
  }
}
