package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Looks at the held-out text as lines of JSON. */
public final class TuningLog {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "tuning-log.jsonl";

  private TuningLog() {}

  /** The lines, without their ends; the first says how many windows the model wrote, if any. */
  public static ImmutableList<String> lines(TuningOutcome tuned) {
    return tuned.looks().stream()
        .map(look -> line(look, look.step() == 0 ? tuned.written() : 0))
        .collect(ImmutableList.toImmutableList());
  }

  private static String line(TuningOutcome.Look look, int written) {
    JsonMapper mapper = JsonMapper.shared();
    ObjectNode json = mapper.createObjectNode().put("step", look.step());
    if (Double.isFinite(look.training())) {
      json.put("training_kl", look.training());
    }
    json.put("held_out_kl", look.heldOut());
    if (written > 0) {
      json.put("written_windows", written);
    }
    return mapper.writeValueAsString(json);
  }
}
