package dev.gptq.quantizer.observe;

import dev.gptq.quantizer.pipeline.QuantizationLog;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** {@link Attempt}s as lines of JSON: those of {@link QuantizationLog} with {@code kept}. */
public final class ObservationLog {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "observation-log.jsonl";

  private ObservationLog() {}

  /** One line, without its end. */
  public static String line(Attempt attempt) {
    JsonMapper mapper = JsonMapper.shared();
    ObjectNode json = (ObjectNode) mapper.readTree(QuantizationLog.line(attempt.report()));
    return mapper.writeValueAsString(json.put("kept", attempt.kept()));
  }
}
