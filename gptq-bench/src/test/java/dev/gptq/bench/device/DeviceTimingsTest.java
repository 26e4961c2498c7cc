package dev.gptq.bench.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSearch;
import dev.gptq.quantize.ColumnOrder;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Runs all bodies once on a backend that every machine has, at tiny sizes. */
final class DeviceTimingsTest {
  @Test
  void everyBodyRunsAndIsReported() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    try (Backend backend =
        Backends.open("simd", BackendOptions.defaults().withThreads(2), _ -> {})) {
      Stopwatch stopwatch = new Stopwatch(backend, out, 1e-6);
      stopwatch.title("title");
      LayerTimings layers = new LayerTimings(stopwatch);
      layers.time(8, 256, GridSearch.MIN_MAX, ColumnOrder.NATURAL);
      layers.time(8, 128, GridSearch.MSE, ColumnOrder.ACTIVATION);
      OperationTimings operations = new OperationTimings(stopwatch);
      operations.hessian(70, 90);
      operations.forward(2, 5, 2, 48);
      new MatmulTimings(stopwatch, 10_000).time(128, 32, 4, 1, 3);
      assertThat(backend.memory().live()).isZero();
    }
    String[] lines = bytes.toString(StandardCharsets.UTF_8).split("\n");
    assertThat(lines).hasSize(1 + 4 + 4 + 7 + 4);
    assertThat(lines[0]).isEqualTo("# title");
    assertThat(lines[1]).contains("8 x 256 MIN_MAX NATURAL, factor", " ms (");
    assertThat(lines[5]).contains("accumulateGram 90 x 70", "TFLOP/s");
    assertThat(lines[lines.length - 1]).contains("128 x 32, 3 tokens, peer: float16");
  }

  @Test
  void groupsThatDoNotExistAreRefused() {
    assertThatThrownBy(() -> DeviceTimings.main(new String[] {"simd", "everything"}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("layers");
  }
}
