package dev.gptq.cli.report;

import dev.gptq.quantizer.run.PlannedTuning;
import dev.gptq.quantizer.tune.TuningOutcome;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a page says of the tuning of a whole model: how it went on text it was tuned with and on
 * other.
 */
final class TuningReport {
  private TuningReport() {}

  /** Adds both curves, which {@code curves.js} draws. */
  static void addTo(HtmlPage page, TuningOutcome tuned) {
    page.heading("Tuning")
        .paragraph(
            PlannedTuning.sentence(tuned)
                + ". KL divergence from the full-precision model, on the windows of the steps since"
                + " the look before and on those held out; the upright line marks the state that was"
                + " kept.")
        .curves(data(tuned));
  }

  /** Steps, and at each look both divergences; the first look comes before any training. */
  static ObjectNode data(TuningOutcome tuned) {
    ObjectNode data = JsonMapper.shared().createObjectNode();
    data.put("across", "steps").put("up", "KL divergence").put("mark", tuned.best().step());
    ArrayNode steps = data.putArray("at");
    ObjectNode lines = data.putObject("lines");
    ArrayNode training = lines.putArray("text it was tuned with");
    ArrayNode heldOut = lines.putArray("text held out");
    for (TuningOutcome.Look look : tuned.looks()) {
      steps.add(look.step());
      training.add(Double.isFinite(look.training()) ? Double.valueOf(look.training()) : null);
      heldOut.add(look.heldOut());
    }
    return data;
  }
}
