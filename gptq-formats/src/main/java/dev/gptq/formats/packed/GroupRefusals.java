package dev.gptq.formats.packed;

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

  /** Where all groups of a row are equally long: rows whose last group is shorter. */
  public static Optional<String> uneven(ModuleSettings settings, int columns) {
    return settings.groupSize() != -1 && columns % settings.groupSize() != 0
        ? Optional.of(
            "needs groups that divide a row, and %d is no multiple of %d"
                .formatted(columns, settings.groupSize()))
        : Optional.empty();
  }
}
