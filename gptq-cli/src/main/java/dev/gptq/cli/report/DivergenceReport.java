package dev.gptq.cli.report;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Table;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Divergence.Estimate;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A comparison of predictions for people and for programs. */
public final class DivergenceReport {
  private DivergenceReport() {}

  public static List<String> lines(Divergence d) {
    String percentiles =
        Divergence.PERCENTILES.stream()
            .mapToObj(p -> String.format(Locale.ROOT, "%s %%", p))
            .collect(Collectors.joining(", "));
    String changes =
        d.probabilityChanges().stream()
            .mapToObj(c -> String.format(Locale.ROOT, "%+.2f %%", 100 * c))
            .collect(Collectors.joining(", "));
    return ImmutableList.of(
        String.format(
            Locale.ROOT, "perplexity %.4f against %.4f", d.perplexity(), d.basePerplexity()),
        "ln of their ratio " + text(d.lnPerplexityRatio(), 1, ""),
        "mean KL divergence " + text(d.kl(), 1, ""),
        "same most likely token " + text(d.topOneAgreement(), 100, " %"),
        String.format(
            Locale.ROOT,
            "probability of the correct token: RMS change %.3f %%",
            100 * d.rmsProbabilityChange()),
        "  percentiles " + percentiles + " of the change: " + changes);
  }

  /** Adds it to a page. */
  public static void addTo(HtmlPage page, Divergence d) {
    page.table(
        new Table("", "this model", "the original")
            .row("perplexity", number(d.perplexity()), number(d.basePerplexity())));
    page.heading("In full");
    lines(d).forEach(page::paragraph);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }

  private static String text(Estimate estimate, double factor, String unit) {
    return String.format(
        Locale.ROOT,
        "%.5f ± %.5f%s",
        factor * estimate.mean(),
        factor * estimate.standardError(),
        unit);
  }

  public static ObjectNode json(Divergence d, ObjectNode json) {
    json.put("perplexity", d.perplexity()).put("base_perplexity", d.basePerplexity());
    put(json, "ln_perplexity_ratio", d.lnPerplexityRatio());
    put(json, "kl", d.kl());
    put(json, "top1_agreement", d.topOneAgreement());
    json.put("rms_probability_change", d.rmsProbabilityChange());
    ArrayNode percentiles = json.putArray("probability_change_percentiles");
    for (int i = 0; i < Divergence.PERCENTILES.length(); i++) {
      percentiles
          .addObject()
          .put("percentile", Divergence.PERCENTILES.get(i))
          .put("change", d.probabilityChanges().get(i));
    }
    return json;
  }

  private static void put(ObjectNode json, String name, Estimate estimate) {
    json.put(name, estimate.mean()).put(name + "_standard_error", estimate.standardError());
  }
}
