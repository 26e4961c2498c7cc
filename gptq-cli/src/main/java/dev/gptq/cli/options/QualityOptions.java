package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.quantizer.run.QuantizationPlan;
import dev.gptq.quantizer.study.QualityCheck;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that say on which text a run measures what it has made. */
public final class QualityOptions {
  @Option(
      names = "--text",
      paramLabel = "FILE",
      description =
          "when done, measure on this text how far the result is from the original, beside rounding"
              + " to nearest; of several formats the first")
  private String file;

  @Mixin private WindowsOption windows;

  /** The windows, known to fit before the work begins; nothing if no text was named. */
  public Optional<ImmutableList<int[]>> windows(
      QuantizationPlan plan, CalibrationOptions calibration, Console console) throws IOException {
    if (file == null) {
      if (windows.limit().isPresent()) {
        throw new UsageException("--windows says how much of --text is measured; give that too");
      }
      return Optional.empty();
    }
    long heap = QualityCheck.heap(plan.model(), plan.request().settings());
    long room = Runtime.getRuntime().maxMemory();
    if (heap > room / 4 * 3) {
      throw new OutOfMemoryException(
          ("no memory: --text also measures rounding to nearest, whose weights take %d MiB of"
                  + " Java's heap, which may take %d MiB. Give it more, as with"
                  + " GPTQ_JAVA_OPTS=-Xmx%dg, or leave --text out and measure with eval")
              .formatted(heap >> 20, room >> 20, ((4 * heap / 3) >> 30) + 1));
    }
    return Optional.of(
        TextOptions.text(HubFiles.text(file, console), calibration, windows)
            .windows(plan.model(), console::warning));
  }

  /** What reports call the text. */
  public String title() {
    return TextOptions.title(file);
  }
}
