package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Calls whose results nobody reads. */
final class FirstCallsTest {
  private static final QuantizationSettings SETTINGS =
      QuantizationSettings.of(
          Method.GPTQ,
          Quality.STANDARD.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16)));

  @TempDir private Path folder;

  /** They are valid, and leave no memory taken. */
  @Test
  void allAreMade() throws IOException {
    ImmutableList<int[]> windows = ImmutableList.of(new int[100], new int[100]);
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
        Model model =
            Model.open(
                RandomCheckpoint.write(
                    folder.resolve("model"), ExpertLanesTest.config("qwen3-moe"), 7))) {
      new FirstCalls(model.spec(), SETTINGS, windows).make(backend);
      assertThat(backend.memory().live()).isZero();
      assertThat(backend.memory().peak()).isPositive();
    }
  }

  /** Processors have nothing to load. */
  @Test
  void processorsNeedNone() throws IOException {
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
        Model model =
            Model.open(
                RandomCheckpoint.write(
                    folder.resolve("model"), ExpertLanesTest.config("mixtral"), 7))) {
      FirstCalls.begin(backend, model.spec(), SETTINGS, List.of(new int[8])).close();
      assertThat(backend.memory().peak()).isZero();
    }
  }
}
