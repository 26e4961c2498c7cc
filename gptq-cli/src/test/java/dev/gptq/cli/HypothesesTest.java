package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.cli.report.StudyReport;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class HypothesesTest {
  private interface Measure {
    double of(int layer, String module);
  }

  private static final List<String> MODULES =
      List.of("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj");

  private static List<List<String>> found(Measure absolute, Measure relative) {
    List<ModuleReport> reports = new ArrayList<>();
    for (int layer = 0; layer < 8; layer++) {
      for (String module : MODULES) {
        reports.add(
            new ModuleReport(
                layer,
                module,
                layer + module,
                1,
                1,
                4,
                128,
                true,
                absolute.of(layer, module),
                relative.of(layer, module),
                1,
                1,
                0.01,
                9,
                "",
                1));
      }
    }
    return StudyReport.hypotheses(reports).rows();
  }

  /** What the study saw in absolute errors, and relative errors of which none of it is true. */
  @Test
  void bothKindsOfErrorsAreTested() {
    List<List<String>> rows =
        found(
            (layer, module) ->
                module.equals("self_attn.o_proj")
                    ? 0.1 * (layer + 1)
                    : module.startsWith("mlp") && layer >= 4 ? 10 * (layer + 1) : 1 + layer,
            (layer, module) -> module.equals("self_attn.o_proj") ? 2 : 1.0 / (layer + 1));
    for (List<String> row : rows.subList(1, 4)) {
      assertThat(row.get(1)).startsWith("holds: ");
      assertThat(row.get(2)).startsWith("does not hold: ");
    }
    assertThat(rows.get(2).get(1)).contains("1.00");
    assertThat(rows.get(3).get(1)).contains("number 1 of 4", "self_attn.o_proj");
    assertThat(rows.get(3).get(2)).contains("number 4 of 4");
  }
}
