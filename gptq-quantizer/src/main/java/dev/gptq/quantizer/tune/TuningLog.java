package dev.gptq.quantizer.tune;

import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Looks at the held-out text as lines of JSON. */
public final class TuningLog {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "tuning-log.jsonl";

  private TuningLog() {}

  /** One line, without its end. */
  public static String line(TuningOutcome.Look look) {
    JsonMapper mapper = JsonMapper.shared();
    ObjectNode json = mapper.createObjectNode().put("step", look.step());
    if (Double.isFinite(look.training())) {
      json.put("training_kl", look.training());
    }
    return mapper.writeValueAsString(json.put("held_out_kl", look.heldOut()));
  }
}
