package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.models.Model;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Refinement;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.run.Observing;
import dev.gptq.quantizer.run.QuantizationSummary;
import dev.gptq.quantizer.run.RunRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * The page about one quantization.
 *
 * @param model what the original was called
 * @param command what was typed
 * @param summary what came of it
 * @param quality what was measured on a text, if one was given
 */
public record RunReport(
    String model, String command, QuantizationSummary summary, Optional<QualityReport> quality) {

  /**
   * Writes it into a folder and returns its path.
   *
   * @param original the full-precision model
   * @param made what the run has written
   */
  public Path write(Path folder, Backend backend, Model original, Model made) throws IOException {
    RunRequest request = summary.request();
    HtmlPage page = new HtmlPage("Quantization of " + model.substring(model.lastIndexOf('/') + 1));
    QuantizationReport.lines(summary).forEach(page::paragraph);
    quality.ifPresent(measured -> measured.addTo(page));
    List<LoggedError> errors = summary.reports().stream().map(LoggedError::of).toList();
    if (errors.stream().anyMatch(e -> Double.isFinite(e.error()))) {
      ErrorPages.addChart(page, Map.of(name(request.output()), errors));
    }
    summary.tuned().ifPresent(tuned -> TuningReport.addTo(page, tuned));
    page.heading("Sizes").facts(sizes(summary));
    ServingReport.addTo(page, made, Optional.of(original));
    page.heading("Settings").facts(settings(model, request));
    page.paragraph("The same again, in the same folder:").code(command);
    page.heading("Machine").facts(ErrorPages.machine(backend));
    page.heading("Times and memory").facts(times(summary));
    if (!summary.attempts().isEmpty()) {
      page.heading("Tried again").table(ErrorPages.attempts(summary.attempts()));
    }
    page.heading("Modules").table(ErrorPages.modules(summary.reports()));
    return page.write(folder);
  }

  private static String name(Path path) {
    return Objects.toString(path.toAbsolutePath().normalize().getFileName(), path.toString());
  }

  private static Map<String, String> settings(String model, RunRequest request) {
    GptqOptions options = request.settings().options();
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("model", model);
    facts.put("output", request.output().toString());
    facts.put("method", request.settings().method().name().toLowerCase(Locale.ROOT));
    facts.put("bits", String.valueOf(options.grid().bits()));
    facts.put("group size", String.valueOf(options.groupSize()));
    facts.put("scheme", options.grid().scheme().id());
    facts.put("grid", options.grid().search().id());
    if (request.settings().method() == Method.GPTQ) {
      facts.putAll(ofGptq(request.settings()));
    }
    request.observing().ifPresent(observing -> facts.put("bytes where needed", text(observing)));
    facts.put("format", request.formats());
    return facts;
  }

  /** What rounding to nearest does not look at. */
  private static Map<String, String> ofGptq(QuantizationSettings settings) {
    GptqOptions options = settings.options();
    Refinement refinement = options.refinement();
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("order", options.order().name().toLowerCase(Locale.ROOT).replace('_', '-'));
    facts.put("static groups", yes(options.staticGroups()));
    facts.put("damping", String.valueOf(options.damping()));
    facts.put("beam", String.valueOf(refinement.beam()));
    facts.put("refits of scales", String.valueOf(refinement.refits()));
    facts.put("sweeps over codes", String.valueOf(refinement.sweeps()));
    facts.put("signed scales", yes(refinement.signedScales()));
    facts.put("target", settings.target().kind().id());
    facts.put("curvature", settings.curvature().name().toLowerCase(Locale.ROOT));
    facts.put("true-sequential", yes(settings.trueSequential()));
    return facts;
  }

  private static String yes(boolean value) {
    return value ? "yes" : "no";
  }

  private static String text(Observing observing) {
    return switch (observing) {
      case Observing.Worst worst ->
          worst.count()
              + (worst.measure() == Observing.Measure.ERROR
                  ? " modules with the largest relative errors"
                  : " modules in which a byte takes off most");
      case Observing.Budget budget -> budget.bits() + " bits a weight, by gradients";
      case Observing.MeasuredBudget budget -> budget.bits() + " bits a weight, by measuring";
    };
  }

  private static Map<String, String> sizes(QuantizationSummary summary) {
    long weights =
        summary.reports().stream()
            .mapToLong(report -> (long) report.rows() * report.columns())
            .sum();
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("the checkpoint", megabytes((double) summary.bytes()));
    facts.put("quantized weights", String.format(Locale.ROOT, "%.1f million", weights / 1e6));
    facts.put("  in 16 bits", megabytes(2.0 * weights));
    facts.put(
        String.format(Locale.ROOT, "  in %.3f bits", summary.bitsPerWeight()),
        megabytes(summary.bitsPerWeight() / 8 * weights));
    return facts;
  }

  private static String megabytes(double bytes) {
    return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  private static Map<String, String> times(QuantizationSummary summary) {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("all", Console.time(summary.seconds()));
    facts.put("writing and verifying", Console.time(summary.writing()));
    facts.put("tensors at most", (summary.peakTensors() >> 20) + " MiB");
    facts.put("heap at most", (summary.peakHeap() >> 20) + " MiB");
    return facts;
  }
}
