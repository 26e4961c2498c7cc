package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Maps;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The front matter of a model card: YAML between two lines {@code ---}. Values are carried over as
 * they are written, lists over several lines included, so that nothing of YAML need be understood.
 *
 * @param entries by key, each with all its lines
 */
record FrontMatter(ImmutableMap<String, String> entries) {
  private static final String FENCE = "---";
  private static final Pattern KEY = Pattern.compile("([A-Za-z_][\\w-]*):(.*)");
  private static final long LARGEST = 1_000_000;

  /** What holds of the quantized model as of the original. */
  private static final ImmutableSet<String> CARRIED =
      ImmutableSet.of("license", "license_name", "license_link", "language", "pipeline_tag");

  /** That of a card; none where there is no card or it has none. */
  static FrontMatter read(Path card) throws IOException {
    if (!Files.isRegularFile(card) || Files.size(card) > LARGEST) {
      return new FrontMatter(ImmutableMap.of());
    }
    return parse(new String(Files.readAllBytes(card), StandardCharsets.UTF_8));
  }

  static FrontMatter parse(String card) {
    List<String> lines = card.lines().toList();
    Map<String, String> entries = new LinkedHashMap<>();
    int end = lines.isEmpty() || !lines.getFirst().equals(FENCE) ? 0 : closing(lines);
    String key = null;
    for (String line : lines.subList(Math.min(1, end), end)) {
      Matcher matcher = KEY.matcher(line);
      if (matcher.matches()) {
        key = matcher.group(1);
        entries.put(key, line);
      } else if (key != null && !line.isBlank()) {
        entries.merge(key, line, (before, next) -> before + "\n" + next);
      }
    }
    return new FrontMatter(ImmutableMap.copyOf(entries));
  }

  private static int closing(List<String> lines) {
    return Math.max(0, 1 + lines.subList(1, lines.size()).indexOf(FENCE));
  }

  /** The value of a key that is written on its line. */
  Optional<String> value(String key) {
    return Optional.ofNullable(entries.get(key))
        .map(line -> line.substring(line.indexOf(':') + 1).strip())
        .map(value -> value.replaceAll("^[\"']|[\"']$", ""))
        .filter(value -> !value.isEmpty() && !value.contains("\n"));
  }

  /** The lines that a card of the same model in other numbers has too. */
  ImmutableMap<String, String> carried() {
    return ImmutableMap.copyOf(Maps.filterKeys(entries, CARRIED::contains));
  }
}
