package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * A page about what was measured of a model.
 *
 * @param folder where it is written
 * @param command what was typed
 */
public record EvaluationPage(Path folder, String command) {

  /**
   * Writes it and returns its path.
   *
   * @param title what was measured on what
   * @param model the model, whose log of its quantization is drawn if there is one
   * @param base what it was compared with
   * @param results adds what came of it
   */
  public Path write(
      String title, Backend backend, Path model, Optional<Path> base, Consumer<HtmlPage> results)
      throws IOException {
    HtmlPage page = new HtmlPage(title);
    results.accept(page);
    Optional<ErrorLog> log = ErrorLog.ofCheckpoint(model);
    if (log.isPresent()) {
      ErrorPages.addChart(page, Map.of(model.toString(), log.get().errors()));
    }
    try (Model measured = Model.open(model)) {
      if (base.isPresent()) {
        try (Model original = Model.open(base.get())) {
          ServingReport.addTo(page, measured, Optional.of(original));
        }
      } else {
        ServingReport.addTo(page, measured, Optional.empty());
      }
    }
    page.heading("Machine").facts(ErrorPages.machine(backend));
    page.paragraph("The same again, in the same folder:").code(command);
    return page.write(folder);
  }
}
