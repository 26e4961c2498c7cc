package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.UsageException;
import dev.gptq.grid.GridSpec;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.run.Observing;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import picocli.CommandLine.Option;

/** The options that give more bytes to modules that need them. */
public final class ObserveOptions {
  @Option(
      names = "--observe",
      paramLabel = "K",
      description =
          "afterwards quantize the K worst modules again, with smaller groups and more bits, and"
              + " keep what is better")
  private Integer count;

  @Option(
      names = "--observe-by",
      paramLabel = "MEASURE",
      description =
          "which modules --observe takes: error (largest relative error) or benefit (most of it"
              + " gone for each byte; tries all modules) (default: error)")
  private Observing.Measure measure;

  @Option(
      names = "--target-bpw",
      paramLabel = "X",
      description =
          "spend X bits a weight in all: --bits and --group-size are the least that a module gets,"
              + " and the rest goes where the model's predictions need it most")
  private Double bitsPerWeight;

  @Option(
      names = "--bits-choices",
      paramLabel = "N",
      split = ",",
      description =
          "bits that --observe and --target-bpw may give a module, 2 to 8 (default: 2,3,4,8, those"
              + " that servers have kernels for)")
  private List<Integer> widths = List.of();

  /** What is asked for, if anything is. */
  public Optional<Observing> observing(QuantizationSettings settings) {
    if (measure != null && count == null) {
      throw new UsageException("--observe-by says how --observe K ranks modules; add --observe K");
    }
    if (count == null && bitsPerWeight == null) {
      if (!widths.isEmpty()) {
        throw new UsageException(
            "--bits-choices is for --observe and --target-bpw; add one of them, or give --bits");
      }
      return Optional.empty();
    }
    if (!widths.stream().allMatch(GridSpec::isWidth)) {
      throw new UsageException("--bits-choices must be between 2 and 8 but are " + widths);
    }
    if (count != null && bitsPerWeight != null) {
      throw new UsageException("give only one of --observe and --target-bpw");
    }
    if (settings.method() == Method.RTN) {
      throw new UsageException(
          "--method rtn uses no calibration and so measures no errors to observe; use gptq");
    }
    if (count != null && settings.target().kind() != Target.Kind.PLAIN) {
      throw new UsageException(
          "observing compares with the weights themselves, and --target "
              + settings.target().kind().id()
              + " lets them drift on purpose; add --target plain");
    }
    if (count != null && count < 1) {
      throw new UsageException("--observe must be at least 1 but is " + count);
    }
    ImmutableList<Integer> choices = ImmutableList.sortedCopyOf(new TreeSet<>(widths));
    return Optional.of(
        count != null
            ? new Observing.Worst(
                count, measure == null ? Observing.Measure.ERROR : measure, choices)
            : new Observing.Budget(bitsPerWeight, choices));
  }
}
