package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.cuda.CudaBackendProvider;
import dev.gptq.cuda.EmulatedProvider;
import dev.gptq.formats.SharedFiles;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Activations;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.StatePlaces;
import java.io.IOException;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What whole models are said to need of a GPU is what is taken. An emulated device takes long, so
 * that it is left to the nightly profile; backends count single operations each time in their
 * {@code RehearsalConformance}.
 */
@EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
final class ForecastOnDeviceTest {
  private static final int WINDOW = 16;

  /** Bytes of indices of inputs that were never active. */
  private static final int SMALL = 4096;

  @ParameterizedTest
  @CsvSource({
    "llama-gqa-rope3, FAST, bf16",
    "llama-gqa-rope3, BEST, bf16",
    "gemma2, STANDARD, bf16",
    "gpt-neox, STANDARD, f32",
    "bloom, FAST, f32",
    "bloom, BEST, f32",
    "opt-350m-style, BEST, bf16",
  })
  void isWhatIsTaken(String architecture, Quality quality, String activations) throws IOException {
    QuantizationSettings settings =
        QuantizationSettings.of(
                Method.GPTQ, quality.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16)))
            .withTarget(quality.target());
    BackendOptions options =
        new BackendOptions(
            1, 0, ImmutableMap.of("cuda.lanes", "1", "cuda.activations", activations));
    try (Backend backend = new CheckedBackend(device(options).open(options));
        Model model = Model.open(SharedFiles.architecture(architecture))) {
      int[] stream =
          new SplittableRandom(3).ints(2L * WINDOW, 0, model.spec().vocabulary()).toArray();
      ImmutableList<int[]> windows = TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
      long estimate =
          Forecast.of(
                  backend,
                  model.spec(),
                  model::weights,
                  settings,
                  windows,
                  Activations.KEPT,
                  StatePlaces.all(HiddenStates.DEVICE))
              .memory()
              .tensors();
      assertThat(backend.memory().peak()).as("a rehearsal takes nothing").isZero();
      new QuantizationJob(
              backend,
              model.spec(),
              model.weights(backend),
              settings,
              windows,
              new MemoryStore(),
              JobListener.SILENT)
          .run();
      long peak = backend.memory().peak();
      assertThat(estimate).isBetween(peak, peak + SMALL);
    }
  }

  /** A GPU, or where there is none an emulated one. */
  private static BackendProvider device(BackendOptions options) {
    BackendProvider gpu = new CudaBackendProvider();
    if (gpu.probe(options) instanceof Availability.Available) {
      return gpu;
    }
    BackendProvider emulated = new EmulatedProvider();
    assumeTrue(emulated.probe(options) instanceof Availability.Available, "g++ was not found");
    return emulated;
  }
}
