package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.SharedFiles;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is said to be needed is what is taken. */
final class MemoryEstimateTest {
  private static final int WINDOW = 32;

  /** Bytes of indices of inputs that were never active. */
  private static final int SMALL = 4096;

  @ParameterizedTest
  @CsvSource({
    "llama-gqa-rope3, STANDARD, true, 4",
    "gemma2, STANDARD, true, 4",
    "gpt-neox, FAST, false, 4",
    "bloom, BEST, false, 4",
  })
  void isWhatIsTaken(String architecture, Quality quality, boolean sequential, int windows)
      throws IOException {
    requireForeseen(needed(architecture, quality, quality.curvature(), sequential, windows));
  }

  @ParameterizedTest
  @EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
  @CsvSource({
    "llama-gqa-rope3, FAST, true, 4",
    "llama-gqa-rope3, BEST, true, 4",
    "gemma2, FAST, true, 4",
    "gemma2, BEST, true, 4",
    "gpt-neox, STANDARD, false, 4",
    "gpt-neox, BEST, true, 4",
    "bloom, FAST, false, 4",
    "bloom, STANDARD, true, 4",
  })
  void isWhatIsTakenOfMore(String architecture, Quality quality, boolean sequential, int windows)
      throws IOException {
    requireForeseen(needed(architecture, quality, quality.curvature(), sequential, windows));
  }

  @Test
  void activationsThatAreComputedAgainCountOnce() throws IOException {
    requireForeseen(
        needed(
            "llama-gqa-rope3",
            Quality.FAST,
            Curvature.INPUTS,
            true,
            4,
            Activations.COMPUTED_AGAIN,
            HiddenStates.DEVICE));
  }

  /** Hidden states that lie elsewhere are there for one batch at a time. */
  @Test
  void statesElsewhereDoNotCount() throws IOException {
    requireForeseen(
        needed(
            "llama-gqa-rope3",
            Quality.STANDARD,
            Curvature.INPUTS,
            true,
            4,
            Activations.KEPT,
            HiddenStates.HOST));
  }

  /** Gradients pass through the whole model at once, with hidden states between its blocks. */
  @ParameterizedTest
  @CsvSource({"INPUTS, DEVICE", "TOKENS, DEVICE", "TOKENS, HOST"})
  void gradientsCountToo(Curvature curvature, HiddenStates states) throws IOException {
    requireForeseen(
        needed("llama-gqa-rope3", Quality.FAST, curvature, true, 4, Activations.KEPT, states));
  }

  @Test
  @EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
  void gradientsOfAllOutputsCountToo() throws IOException {
    requireForeseen(needed("llama-gqa-rope3", Quality.FAST, Curvature.KL, true, 4));
  }

  /** How many tokens each expert gets is not known beforehand. */
  @Test
  void isAtMostATenthTooMuchForExperts() throws IOException {
    requireNearlyForeseen(Quality.STANDARD, false, 8);
  }

  @ParameterizedTest
  @EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
  @CsvSource({"STANDARD, 16", "BEST, 12"})
  void isAtMostATenthTooMuchForMoreExperts(Quality quality, int windows) throws IOException {
    requireNearlyForeseen(quality, true, windows);
  }

  private static void requireForeseen(Needed needed) {
    assertThat(needed.estimate()).isBetween(needed.peak(), needed.peak() + SMALL);
  }

  private static void requireNearlyForeseen(Quality quality, boolean sequential, int windows)
      throws IOException {
    Needed needed = needed("qwen3-moe", quality, Curvature.INPUTS, sequential, windows);
    assertThat(needed.estimate()).isBetween(needed.peak(), needed.peak() + needed.peak() / 10);
  }

  /** What was foreseen and what was taken, in bytes. */
  private record Needed(long estimate, long peak) {}

  private static Needed needed(
      String architecture, Quality quality, Curvature curvature, boolean sequential, int count)
      throws IOException {
    return needed(
        architecture, quality, curvature, sequential, count, Activations.KEPT, HiddenStates.DEVICE);
  }

  private static Needed needed(
      String architecture,
      Quality quality,
      Curvature curvature,
      boolean sequential,
      int count,
      Activations activations,
      HiddenStates states)
      throws IOException {
    BackendOptions options = new BackendOptions(2, 0, ImmutableMap.of("simd.lanes", "1"));
    QuantizationSettings settings =
        new QuantizationSettings(
            Method.GPTQ,
            quality.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16)),
            quality.target(),
            curvature,
            sequential,
            Optional.empty(),
            Optional.empty());
    try (Backend backend = Backends.open("simd", options, refused -> {});
        Model model = Model.open(SharedFiles.architecture(architecture))) {
      ImmutableList<int[]> windows = windows(model, count);
      MemoryEstimate estimate =
          Forecast.of(
                  backend,
                  model.spec(),
                  model::weights,
                  settings,
                  windows,
                  activations,
                  StatePlaces.all(states))
              .memory();
      assertThat(backend.memory().peak()).as("a rehearsal takes nothing").isZero();
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              settings,
              windows,
              new MemoryStore(),
              JobListener.SILENT)
          .with(activations)
          .with(StatePlaces.all(states), Path.of("unused"))
          .run();
      return new Needed(estimate.tensors(), backend.memory().peak());
    }
  }

  private static ImmutableList<int[]> windows(Model model, int count) {
    int[] stream =
        new SplittableRandom(3).ints((long) count * WINDOW, 0, model.spec().vocabulary()).toArray();
    return TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
  }
}
