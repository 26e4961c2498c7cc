package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Logs in the lines that GPTQ-for-LLaMa printed in April 2023, for scripts that plot those:
 *
 * <pre>
 *   Quantizing self_attn.k_proj in layer 1/32...
 *   time 1.23, error 456.789
 *   Optimizing mlp.down_proj 31 ..
 *   time 1.23, error 234.567
 * </pre>
 *
 * <p>Errors are sums over the tokens of a calibration window, as they were there, but without
 * damping. Layers count from 1 in the first kind of line and from 0 in the second. A script takes
 * the last error of a module for its final one, so the attempt that was kept comes last.
 */
public final class ClassicLog {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "quantization-log.txt";

  private ClassicLog() {}

  /**
   * The lines.
   *
   * @param reports the modules as the checkpoint has them, in the order of quantization
   * @param attempts what an observation tried, if there was one
   * @param layers number of blocks
   * @param window tokens of a calibration window
   */
  public static List<String> lines(
      List<ModuleReport> reports, List<Attempt> attempts, int layers, int window) {
    Map<String, List<Attempt>> tried = new LinkedHashMap<>();
    for (Attempt attempt : attempts) {
      tried.computeIfAbsent(attempt.report().name(), name -> new ArrayList<>()).add(attempt);
    }
    List<String> lines = new ArrayList<>();
    for (ModuleReport report : reports) {
      List<Attempt> own = tried.getOrDefault(report.name(), ImmutableList.of());
      lines.add(
          "Quantizing "
              + report.module()
              + " in layer "
              + (report.layer() + 1)
              + "/"
              + layers
              + "...");
      lines.add(measured(own.isEmpty() ? report : own.getFirst().report(), window));
    }
    for (List<Attempt> own : tried.values()) {
      ModuleReport report = own.getFirst().report();
      lines.add("Optimizing " + report.module() + " " + report.layer() + " ..");
      own.stream()
          .sorted(Comparator.comparing(Attempt::kept))
          .forEach(attempt -> lines.add(measured(attempt.report(), window)));
    }
    return lines;
  }

  private static String measured(ModuleReport report, int window) {
    return String.format(
        Locale.ROOT, "time %.2f, error %s", report.seconds(), report.error() * window);
  }
}
