package dev.gptq.quantizer.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Floats;
import com.google.common.primitives.ImmutableIntArray;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.chat.ChatTurns;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.Decoder;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
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
    quantizeAgain();
  }

  private void quantizeAgain() {
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
    return tuning(how, text)
        .run(backend, model.weights(backend), store::modules, store, TuningStates.NONE, listener);
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
    TuningOutcome outcome = tune(Tuning.of(5, 0.1), text, heard::add);
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

  /** Codes of eight bits that move by whole codes; the rate falls in a quarter of the steps. */
  @Test
  void whereNothingIsGainedTheFirstStateStaysAndTuningStops() throws IOException {
    quantizeSmall(GRID.withBits(8));
    ImmutableMap<String, PackedMatrix> before = store.packed();
    TuningOutcome outcome = tune(Tuning.of(40, 1), TuningText.of(windows), look -> {});
    assertThat(outcome.gained()).isFalse();
    assertThat(outcome.steps()).isBetween(Tuning.PATIENCE + 10, 39);
    store.packed().forEach((name, matrix) -> assertThat(matrix).isSameAs(before.get(name)));
  }

  /** Keeps the states after all looks, and gives those after some. */
  private static final class Copies implements TuningStates {
    private final List<List<byte[]>> copies = new ArrayList<>();
    private int given;
    private boolean damaged;

    @Override
    public OptionalInt newest() {
      return given == 0 ? OptionalInt.empty() : OptionalInt.of(given);
    }

    @Override
    public boolean load(int looks, List<? extends KeptRows> state) {
      List<byte[]> copy = copies.get(looks - 2);
      for (int i = 0; i < state.size(); i++) {
        state.get(i).fill(0, state.get(i).rows(), MemorySegment.ofArray(copy.get(i)));
      }
      return !damaged;
    }

    @Override
    public void put(int looks, List<? extends KeptRows> state) {
      List<byte[]> copy = new ArrayList<>();
      for (KeptRows rows : state) {
        byte[] bytes = new byte[Math.toIntExact(rows.byteSize())];
        rows.copyTo(0, rows.rows(), MemorySegment.ofArray(bytes));
        copy.add(bytes);
      }
      copies.add(copy);
    }
  }

  private static boolean same(PackedMatrix a, PackedMatrix b) {
    return a.words().mismatch(b.words()) < 0 && a.scales().mismatch(b.scales()) < 0;
  }

  /** From every state that was kept, and from the beginning where it cannot be read. */
  @Test
  void goesOnFromWhatWasKeptToTheSameEnd() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows);
    ImmutableMap<Integer, ImmutableMap<String, QuantizedModule>> before =
        ImmutableMap.of(0, store.modules(0), 1, store.modules(1));
    Copies copies = new Copies();
    ModelTuning tuning = tuning(Tuning.of(4, 0.1).withBlocks(2), text);
    List<Double> tried = new ArrayList<>();
    TuningOutcome whole =
        tuning.run(
            backend, model.weights(backend), before::get, store, copies, new Tries(tried, 0));
    assertThat(whole.gained()).isTrue();
    ImmutableMap<String, PackedMatrix> expected = store.packed();
    for (copies.given = 2; copies.given <= 5; copies.given++) {
      copies.damaged = copies.given == 5;
      TuningOutcome again =
          tuning.run(
              backend,
              model.weights(backend),
              before::get,
              store,
              copies,
              new Tries(tried, copies.damaged ? 0 : copies.given - 1));
      assertThat(again.looks()).isEqualTo(whole.looks());
      store
          .packed()
          .forEach((name, matrix) -> assertThat(same(matrix, expected.get(name))).isTrue());
    }
    assertThat(tried).isEmpty();
  }

  /** The first mean is a tenth of the first gradient, whose signs are the same. */
  @Test
  void momentumMakesADifferenceFromTheSecondStepOn() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows);
    List<ImmutableList<TuningOutcome.Look>> looks = new ArrayList<>();
    for (double momentum : new double[] {0, 0.9}) {
      Tuning how =
          new Tuning(
              2,
              OptionalDouble.of(0.1),
              OptionalDouble.of(momentum),
              OptionalInt.empty(),
              false,
              OptionalInt.empty());
      looks.add(tune(how, text, look -> {}).looks());
      quantizeAgain();
    }
    assertThat(looks.get(1).subList(0, 2)).isEqualTo(looks.get(0).subList(0, 2));
    assertThat(looks.get(1).get(2)).isNotEqualTo(looks.get(0).get(2));
  }

  @Test
  void theRateIsTheOneOfThoseTriedThatDoesBestAndTrialsLeaveNoTrace() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows);
    List<Double> tried = new ArrayList<>();
    TuningOutcome found = tune(Tuning.of(2), text, new Tries(tried, 0));
    assertThat(tried).isEqualTo(Tuning.RATES).contains(found.rate());
    quantizeAgain();
    TuningOutcome given =
        tuning(Tuning.of(2, found.rate()), text)
            .with(new BorderPlace(HiddenStates.FILES, folder.resolve("borders")))
            .run(
                backend,
                model.weights(backend),
                store::modules,
                store,
                TuningStates.NONE,
                look -> {});
    assertThat(given.looks()).as("with hidden states in files, too").isEqualTo(found.looks());
  }

  /** Hears what rates were tried, and expects to go on after some steps. */
  private record Tries(List<Double> rates, int steps) implements Tuner.Listener {
    @Override
    public void look(TuningOutcome.Look look) {}

    @Override
    public void tried(double rate, int steps, double heldOut) {
      rates.add(rate);
      assertThat(heldOut).isPositive();
    }

    @Override
    public void tunedBlocks(int each, double left, double seconds) {
      assertThat(steps).as("done with what was kept").isZero();
    }

    @Override
    public void goesOn(int done) {
      assertThat(done).isEqualTo(steps);
    }
  }

  /** The state that a tuning is compared with is the quantized one, whatever it begins with. */
  @Test
  void blocksAreTunedByThemselvesFirst() throws IOException {
    quantizeSmall(GRID);
    List<Double> heard = new ArrayList<>();
    Tuner.Listener listener =
        new Tuner.Listener() {
          @Override
          public void look(TuningOutcome.Look look) {}

          @Override
          public void tunedBlocks(int steps, double left, double seconds) {
            assertThat(steps).isEqualTo(60);
            heard.add(left);
          }
        };
    TuningText text = TuningText.of(windows);
    TuningOutcome with = tune(Tuning.of(1, 1e-6).withBlocks(60), text, listener);
    assertThat(heard).hasSize(1).allMatch(left -> left > 0 && left < 0.97);
    quantizeAgain();
    TuningOutcome without = tune(Tuning.of(1, 1e-6).withBlocks(0), text, listener);
    assertThat(heard).hasSize(1);
    assertThat(with.looks().getFirst()).isEqualTo(without.looks().getFirst());
    assertThat(with.looks().getLast().heldOut()).isLessThan(without.looks().getLast().heldOut());
  }

  /**
   * Beginnings are the text's, in turn, and each word is drawn where one sequence would have it,
   * but for the end of a document, which the text does not have.
   */
  @Test
  void windowsAreWrittenSideBySideAsOneByOne() throws IOException {
    quantizeSmall(GRID);
    int prefix = WINDOW / 2;
    try (Decoder decoder = model.load(backend)) {
      int end = model.spec().endTokens().getFirst();
      ImmutableList<int[]> begun =
          windows.stream()
              .filter(window -> !Ints.contains(window, end))
              .limit(3)
              .collect(ImmutableList.toImmutableList());
      ImmutableList<int[]> written = WrittenText.of(decoder, begun, 70, Optional.empty());
      assertThat(written).hasSize(70);
      assertThat(WrittenText.of(decoder, begun, 70, Optional.empty()))
          .usingRecursiveComparison()
          .isEqualTo(written);
      for (int i : new int[] {0, 1, 69}) {
        int[] window = written.get(i);
        assertThat(Arrays.copyOf(window, prefix))
            .isEqualTo(Arrays.copyOf(begun.get(i % 3), prefix));
        try (Decoder.Sequence sequence = decoder.newSequence(WINDOW)) {
          float[] logits = sequence.append(Arrays.copyOf(window, prefix));
          for (int t = prefix; t < WINDOW; t++) {
            logits[end] = Float.NEGATIVE_INFINITY;
            assertThat(window[t])
                .isEqualTo(drawn(logits, WrittenText.uniform((long) i * WINDOW + t)));
            logits = sequence.append(window[t]);
          }
        }
      }
      int[] ending = begun.getFirst().clone();
      ending[WINDOW - 1] = end;
      assertThat(WrittenText.of(decoder, ImmutableList.of(ending), 70, Optional.empty()))
          .as("one that the text has")
          .anyMatch(window -> Ints.contains(window, end));
      assertThat(written.get(3)).as("the same beginning once more").isNotEqualTo(written.get(0));
    }
  }

  /** What stands between turns is given, and all else drawn where one sequence would have it. */
  @Test
  void conversationsHaveTurnsOfBothSides() throws IOException {
    quantizeSmall(GRID);
    try (Decoder decoder = model.load(backend)) {
      int often =
          WrittenText.of(decoder, windows, 70, Optional.empty()).stream()
              .flatMapToInt(Arrays::stream)
              .boxed()
              .collect(Collectors.groupingBy(token -> token, Collectors.counting()))
              .entrySet()
              .stream()
              .max(Map.Entry.comparingByValue())
              .orElseThrow()
              .getKey();
      int[] opening = Arrays.copyOf(windows.getFirst(), 2);
      ChatTurns turns =
          new ChatTurns(
              ImmutableIntArray.copyOf(opening),
              ImmutableIntArray.of(often, 13),
              ImmutableIntArray.of(often));
      ImmutableList<int[]> written = WrittenText.of(decoder, windows, 70, Optional.of(turns));
      assertThat(WrittenText.of(decoder, windows, 70, Optional.of(turns)))
          .usingRecursiveComparison()
          .isEqualTo(written);
      int questions = 0;
      for (int i = 0; i < written.size() && questions < 2; i++) {
        int[] window = written.get(i);
        assertThat(window).startsWith(opening);
        boolean answering = false;
        try (Decoder.Sequence sequence = decoder.newSequence(WINDOW)) {
          float[] logits = sequence.append(Arrays.copyOf(window, 2));
          for (int t = 2; t < WINDOW; ) {
            logits[model.spec().endTokens().getFirst()] = Float.NEGATIVE_INFINITY;
            assertThat(window[t])
                .isEqualTo(drawn(logits, WrittenText.uniform((long) i * WINDOW + t)));
            int[] said = {window[t]};
            if (window[t] == often) {
              int[] between = (answering ? turns.toQuestion() : turns.toAnswer()).toArray();
              said = Arrays.copyOf(between, Math.min(between.length, WINDOW - t));
              assertThat(Arrays.copyOfRange(window, t, t + said.length)).isEqualTo(said);
              questions += answering ? 1 : 0;
              answering = !answering;
            }
            t += said.length;
            logits = t < WINDOW ? sequence.append(said) : logits;
          }
        }
      }
      assertThat(questions).as("the model asks twice").isPositive();
    }
  }

  /** The first token at which the sum of the probabilities is more than a number. */
  private static int drawn(float[] logits, double uniform) {
    double most = Floats.max(logits);
    double[] weights =
        Floats.asList(logits).stream().mapToDouble(x -> Math.exp(x - most)).toArray();
    double left = uniform * Arrays.stream(weights).sum();
    int token = 0;
    while (token < weights.length - 1 && left >= weights[token]) {
      left -= weights[token];
      token++;
    }
    return token;
  }

  /** The model has its full precision when it writes; what it writes is read as the text is. */
  @Test
  void writtenWindowsAreTunedWith() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows);
    List<Integer> wrote = new ArrayList<>();
    Tuning how = Tuning.of(2, 0.1);
    TuningOutcome with =
        tune(
            how,
            text.writtenFor(how.withWritten(5), 0),
            new Tuner.Listener() {
              @Override
              public void look(TuningOutcome.Look look) {}

              @Override
              public void wrote(int count, double seconds) {
                wrote.add(count);
              }
            });
    quantizeAgain();
    TuningOutcome without = tune(how, text, look -> {});
    assertThat(wrote).containsExactly(5);
    assertThat(with.written()).isEqualTo(5);
    assertThat(with.tokens()).isEqualTo(without.tokens());
    assertThat(with.looks().getFirst()).isEqualTo(without.looks().getFirst());
    assertThat(with.looks().getLast()).isNotEqualTo(without.looks().getLast());
  }

  @Test
  void aRehearsalTakesAsMuchMemoryAsTuning() throws IOException {
    quantizeSmall(GRID);
    TuningText text = TuningText.of(windows).writtenFor(Tuning.of(8), 0);
    Tuning how = Tuning.of(1).withBlocks(1);
    long foreseen = tuning(how, text).bytes(backend, model::weights);
    try (Backend fresh = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {})) {
      tuning(how, text)
          .run(fresh, model.weights(fresh), store::modules, store, TuningStates.NONE, look -> {});
      assertThat(fresh.memory().peak()).isCloseTo(foreseen, within(1L << 16));
    }
  }
}
