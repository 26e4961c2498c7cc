package dev.gptq.hub;

import com.google.common.collect.ImmutableList;
import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.Path;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Files that a person names, by patterns. */
final class NamedFiles extends FileSelection {
  private static final int SHOWN = 8;
  private static final Pattern SPECIAL = Pattern.compile("\\*\\*/?|\\*|\\?|[^*?]+");

  private final ImmutableList<String> patterns;

  NamedFiles(ImmutableList<String> patterns) {
    this.patterns = patterns;
  }

  /** Patterns of this kind as regular expressions; the JDK's differ from system to system. */
  private static Pattern compiled(String glob) {
    return Pattern.compile(
        SPECIAL
            .matcher(glob)
            .results()
            .map(m ->
                switch (m.group()) {
                  case "**/" -> "(?:.*/)?";
                  case "**" -> ".*";
                  case "*" -> "[^/]*";
                  case "?" -> "[^/]";
                  default -> Pattern.quote(m.group());
                })
            .collect(Collectors.joining()));
  }

  @Override
  ImmutableList<RemoteFile> choose(Repo repo, ImmutableList<RemoteFile> files, Reader reader)
      throws IOException {
    ImmutableList<Pattern> globs =
        patterns.stream().map(NamedFiles::compiled).collect(ImmutableList.toImmutableList());
    for (int i = 0; i < globs.size(); i++) {
      Pattern glob = globs.get(i);
      if (files.stream().noneMatch(f -> glob.matcher(f.path()).matches())) {
        throw new HubException(
            Reason.NOT_FOUND,
            "%s holds no file '%s'; it holds %s"
                .formatted(repo, Text.printable(patterns.get(i)), shown(files)));
      }
    }
    return files.stream()
        .filter(f -> globs.stream().anyMatch(g -> g.matcher(f.path()).matches()))
        .collect(ImmutableList.toImmutableList());
  }

  private static String shown(ImmutableList<RemoteFile> files) {
    return files.stream().limit(SHOWN).map(RemoteFile::path).collect(Collectors.joining(", "))
        + (files.size() > SHOWN ? " and %d more".formatted(files.size() - SHOWN) : "");
  }

  @Override
  ImmutableList<String> missing(Path snapshot) throws IOException {
    ImmutableList<String> paths = all(snapshot);
    return patterns.stream()
        .filter(p -> paths.stream().noneMatch(f -> compiled(p).matcher(f).matches()))
        .collect(ImmutableList.toImmutableList());
  }

  @Override
  ImmutableList<String> found(Path snapshot) throws IOException {
    return all(snapshot).stream()
        .filter(f -> patterns.stream().anyMatch(p -> compiled(p).matcher(f).matches()))
        .collect(ImmutableList.toImmutableList());
  }
}
