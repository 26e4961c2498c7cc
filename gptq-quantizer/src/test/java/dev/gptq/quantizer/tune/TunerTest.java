package dev.gptq.quantizer.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.Decoder;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TunerTest {
  private static final int WINDOW = 16;
  private static final GridSpec GRID = GridSpec.of(Scheme.ASYMMETRIC, 2).withScaleBits(8);

  @TempDir private Path folder;
  private QuantizationSettings settings;
  private Backend backend;
  private Model model;
  private ImmutableList<int[]> windows;
  private MemoryStore store;

  private void quantize(Path path, GridSpec grid, int groupSize) throws IOException {
    settings = QuantizationSettings.of(Method.RTN, GptqOptions.of(grid, groupSize));
    backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
    model = Model.open(path);
    SplittableRandom random = new SplittableRandom(5);
    windows =
        IntStream.range(0, 18)
            .mapToObj(i -> random.ints(WINDOW, 0, model.spec().vocabulary()).toArray())
            .collect(ImmutableList.toImmutableList());
    store = new MemoryStore();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            ImmutableList.of(),
            store,
            JobListener.SILENT)
        .run();
  }

  private void quantizeSmall(GridSpec grid) throws IOException {
    quantize(RandomCheckpoint.write(folder.resolve("m"), TinyConfigs.json("llama"), 1), grid, 32);
  }

  @AfterEach
  void close() throws IOException {
    assertThat(backend.memory().live()).isZero();
    backend.close();
    model.close();
  }

  private ModelTuning tuning(Tuning how, TuningText text) {
    return new ModelTuning(model.spec(), settings, how, text);
  }

  private TuningOutcome tune(Tuning how, TuningText text, Tuner.Listener listener) {
    return tuning(how, text).run(backend, model.weights(backend), store::modules, store, listener);
  }

  private double divergence(ImmutableMap<String, PackedMatrix> packed, ImmutableList<int[]> text) {
    try (Decoder original = model.load(backend);
        Decoder quantized = new Decoder(backend, model.spec(), model.weights(backend, packed))) {
      return Divergence.of(original, quantized, text, done -> {}).kl().mean();
    }
  }

  /** What is kept is what the curve says, and stands for scales of eight bits. */
  @Test
  void divergenceOnHeldOutTextFalls() throws IOException {
    quantize(Path.of(System.getProperty("gptq.root")).resolve("examples/tiny"), GRID, 64);
    TuningText text = TuningText.of(windows);
    ImmutableMap<String, PackedMatrix> before = store.packed();
    List<TuningOutcome.Look> heard = new ArrayList<>();
    TuningOutcome outcome = tune(new Tuning(5, 0.1), text, heard::add);
    ImmutableMap<String, PackedMatrix> after = store.packed();
    assertThat(outcome.looks()).isEqualTo(heard).hasSize(6);
    assertThat(outcome.gained()).isTrue();
    assertThat(outcome.tokens()).isEqualTo(18 * WINDOW);
    assertThat(outcome.weights())
        .isEqualTo(before.values().stream().mapToLong(m -> (long) m.rows() * m.columns()).sum());
    double was = divergence(before, text.heldOut());
    assertThat(divergence(after, text.heldOut())).isLessThan(0.9 * was);
    // The last position of a window counts in the curve only.
    assertThat(outcome.looks().getFirst().heldOut()).isCloseTo(was, within(0.3 * was));
    PackedMatrix matrix = after.values().iterator().next();
    assertThat(matrix.scale(0, 0)).isEqualTo(GRID.roundScale(matrix.scale(0, 0)));
    assertThat(after.keySet()).isEqualTo(before.keySet());
  }

  /** Codes of eight bits that move by whole codes. */
  @Test
  void whereNothingIsGainedTheFirstStateStaysAndTuningStops() throws IOException {
    quantizeSmall(GRID.withBits(8));
    ImmutableMap<String, PackedMatrix> before = store.packed();
    TuningOutcome outcome = tune(new Tuning(40, 1), TuningText.of(windows), look -> {});
    assertThat(outcome.gained()).isFalse();
    assertThat(outcome.steps()).isEqualTo(Tuning.PATIENCE);
    store.packed().forEach((name, matrix) -> assertThat(matrix).isSameAs(before.get(name)));
  }

  @Test
  void aRehearsalTakesAsMuchMemoryAsTuning() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows);
    long foreseen = tuning(Tuning.of(1), text).bytes(backend, model::weights);
    try (Backend fresh = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {})) {
      tuning(Tuning.of(1), text)
          .run(fresh, model.weights(fresh), store::modules, store, look -> {});
      assertThat(fresh.memory().peak()).isCloseTo(foreseen, within(1L << 16));
    }
  }
}
