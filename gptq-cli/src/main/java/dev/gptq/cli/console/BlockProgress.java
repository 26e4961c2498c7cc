package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryCounts;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.ObjLongConsumer;

/**
 * Progress of a quantization. A block's line says how long the one before it took, which kind of
 * module took most of that, and what memory the process has now and had at most.
 */
final class BlockProgress implements JobListener {
  private final Console console;
  private final String what;
  private final int finished;
  private final long start = System.nanoTime();
  private final Map<String, Double> kinds = new LinkedHashMap<>();
  private long blockStart = start;
  private String title = "";

  /** Of a run that begins with {@code finished} blocks done already. */
  BlockProgress(Console console, String what, int finished) {
    this.console = console;
    this.what = what;
    this.finished = finished;
  }

  @Override
  public void block(int index, int count) {
    title = what + ": block " + (index + 1) + "/" + count;
    String left =
        index > finished
            ? ProgressLines.left(System.nanoTime() - start, index - finished, count - finished)
            : "";
    console.milestone(title + left + slowest() + memory());
    console.event(
        "block",
        json -> {
          json.put("what", what).put("block", index).put("blocks", count);
          memory((name, bytes) -> json.put(name, bytes));
        });
    kinds.clear();
    blockStart = System.nanoTime();
  }

  private String slowest() {
    double seconds = (System.nanoTime() - blockStart) / 1e9;
    return kinds.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(most ->
            "; the one before took %s, slowest %s with %s"
                .formatted(Console.time(seconds), most.getKey(), Console.time(most.getValue())))
        .orElse("");
  }

  private static void memory(ObjLongConsumer<String> fields) {
    MemoryCounts.now().ifPresent(bytes -> fields.accept("memory_bytes", bytes));
    MemoryCounts.most().ifPresent(bytes -> fields.accept("memory_peak_bytes", bytes));
  }

  private static String memory() {
    OptionalLong now = MemoryCounts.now();
    OptionalLong most = MemoryCounts.most();
    return now.isPresent() && most.isPresent()
        ? String.format(
            Locale.ROOT,
            "; memory %.1f GB, at most %.1f",
            now.getAsLong() / 1e9,
            most.getAsLong() / 1e9)
        : "";
  }

  @Override
  public void module(ModuleReport report) {
    kinds.merge(report.module(), report.seconds(), Double::sum);
    if (report.fellBack()) {
      console.note(report.name() + " is rounded to nearest: " + report.fallback());
    }
    String line =
        title
            + " "
            + report.module()
            + (Double.isNaN(report.relativeError())
                ? ""
                : String.format(
                    Locale.ROOT,
                    ", relative error %.2e (RTN %.2e)",
                    report.relativeError(),
                    report.rtnRelativeError()));
    console.record(line);
    console.progress(line);
    console.event(
        "module",
        json -> {
          json.put("what", what)
              .put("block", report.layer())
              .put("module", report.module())
              .put("name", report.name())
              .put("seconds", report.seconds());
          if (Double.isFinite(report.relativeError())) {
            json.put("relative_error", report.relativeError())
                .put("rtn_relative_error", report.rtnRelativeError());
          }
        });
  }
}
