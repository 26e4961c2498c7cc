package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Table;
import dev.gptq.models.evaluation.Divergence;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The page about how far a quantized model's predictions are from the original's. */
public final class EvaluationPage {
  private EvaluationPage() {}

  /**
   * Writes it into a folder and returns its path.
   *
   * @param title what was compared on what
   * @param command what was typed
   * @param model the folder of the model, whose log of its quantization is drawn if there is one
   */
  public static Path write(
      Path folder, String title, String command, Backend backend, Path model, Divergence result)
      throws IOException {
    HtmlPage page = new HtmlPage(title);
    page.table(
        new Table("", "this model", "the original")
            .row("perplexity", number(result.perplexity()), number(result.basePerplexity())));
    page.heading("In full");
    DivergenceReport.lines(result).forEach(page::paragraph);
    Optional<ErrorLog> log = ErrorLog.ofCheckpoint(model);
    if (log.isPresent()) {
      ErrorPages.addChart(page, Map.of(model.toString(), log.get().errors()));
    }
    page.heading("Machine").facts(ErrorPages.machine(backend));
    page.paragraph("The same again, in the same folder:").code(command);
    return page.write(folder);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }
}
