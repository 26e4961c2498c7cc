package dev.gptq.bench;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Compares two JSON files of JMH: {@code Compare BEFORE AFTER}. Prints each benchmark's medians and
 * their ratio, and flags those whose ranges of measurements do not overlap.
 */
public final class Compare {

  /** The measurements of one benchmark with one set of parameters. */
  record Sample(double least, double median, double most) {}

  private Compare() {}

  /** Prints the table. */
  public static void main(String[] arguments) {
    if (arguments.length != 2) {
      throw new IllegalArgumentException("usage: Compare BEFORE.json AFTER.json");
    }
    System.out.print(table(read(Path.of(arguments[0])), read(Path.of(arguments[1]))));
  }

  /** One line for each benchmark that both have. */
  static String table(Map<String, Sample> before, Map<String, Sample> after) {
    StringBuilder table = new StringBuilder();
    before.forEach((name, old) -> {
      Sample now = after.get(name);
      if (now != null) {
        String flag =
            now.least() > old.most() ? "faster" : now.most() < old.least() ? "SLOWER" : "";
        table.append(
            String.format(
                Locale.ROOT,
                "%-70s %12.4g %12.4g %7.3f %s%n",
                name,
                old.median(),
                now.median(),
                now.median() / old.median(),
                flag));
      }
    });
    return table.toString();
  }

  /** The samples of a file: the primary score of every benchmark, in operations a second. */
  static Map<String, Sample> read(Path file) {
    Map<String, Sample> samples = new LinkedHashMap<>();
    for (JsonNode run : new ObjectMapper().readTree(file.toFile())) {
      StringBuilder name = new StringBuilder(run.get("benchmark").asString());
      if (run.has("params")) {
        run.get("params")
            .properties()
            .forEach(p ->
                name.append(' ').append(p.getKey()).append('=').append(p.getValue().asString()));
      }
      double[] scores =
          run.get("primaryMetric")
              .get("rawData")
              .valueStream()
              .flatMap(JsonNode::valueStream)
              .mapToDouble(JsonNode::asDouble)
              .sorted()
              .toArray();
      samples.put(
          name.toString(),
          new Sample(scores[0], scores[scores.length / 2], scores[scores.length - 1]));
    }
    return samples;
  }
}
