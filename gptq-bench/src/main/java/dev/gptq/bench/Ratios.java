package dev.gptq.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * The speed of the backend relative to OpenBLAS, from a folder of results that {@code bench.sh}
 * recorded in turns: the median over all rounds of both.
 */
public final class Ratios {
  private Ratios() {}

  /** Prints one line for each operation. */
  public static void main(String[] arguments) {
    if (arguments.length != 1) {
      throw new IllegalArgumentException("usage: Ratios FOLDER");
    }
    System.out.print(table(Path.of(arguments[0])));
  }

  /** Operation, operations a second of the backend and of OpenBLAS, their ratio. */
  static String table(Path folder) {
    Map<String, Double> own = medians(folder, "simd-*.json");
    Map<String, Double> peer = medians(folder, "openblas-*.json");
    StringBuilder table = new StringBuilder();
    own.forEach((operation, speed) -> {
      Double other = peer.get(operation);
      if (other != null) {
        table.append(
            String.format(
                Locale.ROOT,
                "%-24s %10.4g %10.4g %7.3f%n",
                operation,
                speed,
                other,
                speed / other));
      }
    });
    return table.toString();
  }

  private static Map<String, Double> medians(Path folder, String pattern) {
    Map<String, List<Double>> rounds = new TreeMap<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, pattern)) {
      for (Path file : files) {
        Compare.read(file)
            .forEach((name, sample) ->
                rounds
                    .computeIfAbsent(operation(name), key -> new ArrayList<>())
                    .add(sample.median()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Map<String, Double> medians = new TreeMap<>();
    rounds.forEach((operation, speeds) ->
        medians.put(operation, speeds.stream().sorted().toList().get(speeds.size() / 2)));
    return medians;
  }

  /** {@code gemm} of {@code dev.gptq.bench.GemmBenchmark.gemm n=2048 …}. */
  private static String operation(String name) {
    String method = name.split(" ", 2)[0];
    return method.substring(method.lastIndexOf('.') + 1);
  }
}
