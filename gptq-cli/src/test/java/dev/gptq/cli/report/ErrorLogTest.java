package dev.gptq.cli.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.observe.ClassicLog;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ErrorLogTest {
  @TempDir private Path folder;

  private static ModuleReport report(int layer, String module, double error) {
    return new ModuleReport(
        layer,
        module,
        layer + "." + module,
        1,
        1,
        4,
        128,
        true,
        error,
        error / 10,
        error,
        error / 10,
        0.01,
        9,
        "",
        1.234);
  }

  private Path write(List<String> lines) throws IOException {
    return Files.write(folder.resolve("log.txt"), lines);
  }

  @Test
  void linesThatOldScriptsParse() {
    List<String> lines =
        ClassicLog.lines(
            List.of(report(0, "self_attn.k_proj", 0.5), report(31, "mlp.down_proj", 0.25)),
            List.of(
                new Attempt(report(31, "mlp.down_proj", 2), false),
                new Attempt(report(31, "mlp.down_proj", 0.25), true),
                new Attempt(report(31, "mlp.down_proj", 0.5), false)),
            32,
            2048);
    assertThat(lines)
        .containsExactly(
            "Quantizing self_attn.k_proj in layer 1/32...",
            "time 1.23, error 1024.0",
            "Quantizing mlp.down_proj in layer 32/32...",
            "time 1.23, error 4096.0",
            "Optimizing mlp.down_proj 31 ..",
            "time 1.23, error 4096.0",
            "time 1.23, error 1024.0",
            "time 1.23, error 512.0");
  }

  @Test
  void theLastErrorOfAModuleIsTheOneThatCounts() throws IOException {
    ErrorLog log =
        ErrorLog.read(
            write(
                List.of(
                    "Quantizing self_attn.k_proj in layer 1/2...",
                    "time 1.23, error 456.78",
                    "Quantizing mlp.down_proj in layer 2/2...",
                    "time 1.23, error 1e3",
                    "Optimizing mlp.down_proj 1 ..",
                    "time 1.00, error 900",
                    "time 1.00, error 500.5")));
    assertThat(log.reports()).isEmpty();
    assertThat(log.errors()).hasSize(2);
    assertThat(log.errors().get(0).error()).isEqualTo(456.78);
    assertThat(log.errors().get(1).layer()).isEqualTo(1);
    assertThat(log.errors().get(1).kind()).isEqualTo("down_proj");
    assertThat(log.errors().get(1).error()).isEqualTo(500.5);
  }

  @Test
  void filesOfWeightsAreNoLogs() throws IOException {
    Path file = write(List.of());
    Files.write(file, new byte[] {'G', 'G', 'U', 'F', (byte) 0xff});
    assertThatThrownBy(() -> ErrorLog.read(file))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("is no text and so no log")
        .hasMessageContaining("--weights MODULE");
  }

  @Test
  void whatIsNoNumberIsNamed() throws IOException {
    Path file =
        write(List.of("Quantizing self_attn.k_proj in layer 1/2...", "time 1, error tensor(3)"));
    assertThatThrownBy(() -> ErrorLog.read(file))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("line 2")
        .hasMessageContaining("tensor(3)");
  }
}
