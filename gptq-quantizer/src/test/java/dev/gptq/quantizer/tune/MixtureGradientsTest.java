package dev.gptq.quantizer.tune;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What gradients are for, in a model with experts. */
final class MixtureGradientsTest {
  private static final QuantizationSettings SETTINGS =
      QuantizationSettings.of(Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 2), 32));

  @TempDir private Path folder;
  private Backend backend;
  private Model model;
  private ImmutableList<int[]> windows;

  @BeforeEach
  void open() throws IOException {
    backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
    model = Model.open(RandomCheckpoint.write(folder.resolve("m"), TinyConfigs.json("mixtral"), 1));
    SplittableRandom random = new SplittableRandom(5);
    windows =
        IntStream.range(0, 9)
            .mapToObj(i -> random.ints(16, 0, model.spec().vocabulary()).toArray())
            .collect(ImmutableList.toImmutableList());
  }

  @AfterEach
  void close() throws IOException {
    assertThat(backend.memory().live()).isZero();
    backend.close();
    model.close();
  }

  private MemoryStore quantized(Curvature curvature) {
    MemoryStore store = new MemoryStore();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            SETTINGS.withCurvature(curvature),
            windows,
            store,
            JobListener.SILENT)
        .run();
    return store;
  }

  @Test
  void whatAllTokensGoThroughIsQuantizedByTheCurvatureOfTheModel() {
    String name =
        model
            .spec()
            .blocks()
            .getFirst()
            .nameOf(model.spec().blocks().getFirst().linears().findFirst().orElseThrow());
    PackedMatrix inputs = quantized(Curvature.INPUTS).packed().get(name);
    PackedMatrix whole = quantized(Curvature.KL).packed().get(name);
    assertThat(inputs.words().mismatch(whole.words())).isNotEqualTo(-1);
  }

  @Test
  void tuningMovesExperts() {
    MemoryStore store = quantized(Curvature.INPUTS);
    TuningOutcome outcome =
        new ModelTuning(model.spec(), SETTINGS, Tuning.of(6, 0.05), TuningText.of(windows))
            .run(
                backend,
                model.weights(backend),
                store::modules,
                store,
                TuningStates.NONE,
                look -> {});
    assertThat(outcome.looks().getLast().training()).isLessThan(outcome.looks().get(1).training());
    assertThat(outcome.weights())
        .isEqualTo(
            store.packed().values().stream().mapToLong(m -> (long) m.rows() * m.columns()).sum());
  }
}
