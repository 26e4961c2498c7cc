package dev.gptq.cli.report;

import dev.gptq.cli.console.Table;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.quantizer.study.QualityCheck;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.node.ObjectNode;

/**
 * How far a quantized model is from its original, beside rounding to nearest, for people and for
 * programs.
 *
 * @param check what was measured
 * @param text what the text is called
 */
public record QualityReport(QualityCheck check, String text) {

  /** As lines of text. */
  public List<String> lines() {
    List<String> lines = new ArrayList<>();
    lines.add("measured on " + place() + ":");
    lines.addAll(table().lines());
    return lines;
  }

  private String place() {
    return "%d windows of %d tokens of %s".formatted(check.windows(), check.length(), text);
  }

  private Table table() {
    Table table =
        new Table("", "perplexity", "KL divergence", "same most likely token", "RMS change of p");
    row(table, "quantized", check.quantized());
    check.rounded().ifPresent(rounded -> row(table, "rounded to nearest", rounded));
    return table.row("original", number(check.quantized().basePerplexity()), "", "", "");
  }

  private static void row(Table table, String name, Divergence found) {
    table.row(
        name,
        number(found.perplexity()),
        String.format(Locale.ROOT, "%.5f ± %.5f", found.kl().mean(), found.kl().standardError()),
        String.format(Locale.ROOT, "%.2f %%", 100 * found.topOneAgreement().mean()),
        String.format(Locale.ROOT, "%.2f %%", 100 * found.rmsProbabilityChange()));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }

  /** Adds it to a page. */
  void addTo(HtmlPage page) {
    page.heading("Beside the original and rounding to nearest")
        .paragraph(
            "Measured on "
                + place()
                + ". The KL divergence is that of the predictions from the original's, p the"
                + " probability of the correct token. What is rounded has the same bits, groups and"
                + " grid.")
        .table(table());
  }

  /** Adds it to an object. */
  public void addTo(ObjectNode json) {
    ObjectNode quality =
        json.putObject("quality")
            .put("text", text)
            .put("windows", check.windows())
            .put("seq_len", check.length());
    DivergenceReport.json(check.quantized(), quality.putObject("quantized"));
    check
        .rounded()
        .ifPresent(
            rounded -> DivergenceReport.json(rounded, quality.putObject("rounded_to_nearest")));
  }
}
