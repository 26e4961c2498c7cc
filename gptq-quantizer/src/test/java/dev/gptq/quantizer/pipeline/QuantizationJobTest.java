package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Precision;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.CheckpointExporter;
import dev.gptq.quantizer.export.CheckpointSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.store.RunKey;
import dev.gptq.quantizer.store.WorkFolder;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class QuantizationJobTest {
  private static final Path TINY =
      Path.of(System.getProperty("gptq.root")).resolve("examples/tiny");
  private static final int WINDOW = 48;
  private static final CheckpointSettings CONFIG =
      CheckpointSettings.of(
          Formats.find("gptq").orElseThrow(), new ModuleSettings(4, 64, true, false));

  @TempDir private Path folder;
  private Backend backend;
  private Model model;
  private ImmutableList<int[]> windows;

  @BeforeEach
  void open() throws IOException {
    backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
    model = Model.open(TINY);
    int[] stream = new SplittableRandom(3).ints(4 * WINDOW, 0, model.spec().vocabulary()).toArray();
    windows = TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
  }

  @AfterEach
  void close() throws IOException {
    assertThat(backend.memory().live()).isZero();
    backend.close();
    model.close();
  }

  private static QuantizationSettings settings(Method method, boolean trueSequential) {
    return new QuantizationSettings(
        method,
        GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 64),
        Target.PLAIN,
        Curvature.INPUTS,
        trueSequential,
        Optional.empty(),
        Optional.empty());
  }

  private void run(QuantizationSettings settings, BlockStore store, JobListener listener) {
    run(settings, store, StateStore.NONE, listener);
  }

  private MemoryStore quantized(Method method, boolean trueSequential) {
    MemoryStore store = new MemoryStore();
    run(settings(method, trueSequential), store, JobListener.SILENT);
    return store;
  }

  @Test
  void gptqIsCloserThanRoundingToNearestInEveryModule() {
    for (ModuleReport report : quantized(Method.GPTQ, true).reports()) {
      assertThat(report.error()).as(report.name()).isLessThan(report.rtnError());
      assertThat(report.relativeError()).isBetween(0.0, 1.0);
      assertThat(report.tokens()).isEqualTo(4 * WINDOW);
    }
  }

  private ImmutableMap<String, PackedMatrix> aimingAt(Target target, boolean trueSequential) {
    MemoryStore store = new MemoryStore();
    run(settings(Method.GPTQ, trueSequential).withTarget(target), store, JobListener.SILENT);
    return store.packed();
  }

  private static boolean same(PackedMatrix a, PackedMatrix b) {
    return a.words().mismatch(b.words()) == -1;
  }

  @Test
  void targetsWithoutAlphaAreTheWeights() {
    for (boolean trueSequential : new boolean[] {true, false}) {
      ImmutableMap<String, PackedMatrix> plain = aimingAt(Target.PLAIN, trueSequential);
      for (Target.Kind kind : Target.Kind.values()) {
        aimingAt(new Target(kind, 0), trueSequential)
            .forEach((name, packed) -> assertThat(same(packed, plain.get(name))).isTrue());
      }
    }
  }

  /** Before anything is quantized nothing has moved; afterwards each target sees its own errors. */
  @Test
  void targetsMakeUpForWhatWasQuantizedBefore() {
    ImmutableMap<String, PackedMatrix> plain = aimingAt(Target.PLAIN, true);
    ImmutableMap<String, PackedMatrix> qep = aimingAt(new Target(Target.Kind.QEP, 1), true);
    ImmutableMap<String, PackedMatrix> residual =
        aimingAt(new Target(Target.Kind.RESIDUAL, 1), true);
    String block = "model.layers.0.";
    String first = block + "self_attn.q_proj";
    assertThat(same(qep.get(first), plain.get(first))).isTrue();
    assertThat(same(residual.get(first), plain.get(first))).isTrue();
    // The stream that o_proj writes into has not moved yet, its input has.
    String attention = block + "self_attn.o_proj";
    assertThat(same(qep.get(attention), plain.get(attention))).isFalse();
    assertThat(same(residual.get(attention), qep.get(attention))).isTrue();
    String last = block + "mlp.down_proj";
    assertThat(same(residual.get(last), qep.get(last))).isFalse();
  }

  /** Each step of the curvature changes codes, and the same curvature gives the same ones. */
  @Test
  void curvatureOfTheModelDecidesCodes() {
    List<PackedMatrix> found = new ArrayList<>();
    for (Curvature curvature :
        List.of(Curvature.INPUTS, Curvature.TOKENS, Curvature.KL, Curvature.KL)) {
      MemoryStore store = new MemoryStore();
      run(
          settings(Method.GPTQ, true)
              .withTarget(new Target(Target.Kind.RESIDUAL, 0.5))
              .withCurvature(curvature),
          store,
          JobListener.SILENT);
      found.add(store.packed().get("model.layers.0.mlp.down_proj"));
    }
    assertThat(same(found.get(0), found.get(1))).isFalse();
    assertThat(same(found.get(1), found.get(2))).isFalse();
    assertThat(same(found.get(2), found.get(3))).isTrue();
  }

  /** A module that is quantized without its neighbours has its own part of the coupling. */
  @Test
  void someModulesOfAGroupAreCoupledAmongThemselves() {
    QuantizationSettings all = settings(Method.GPTQ, true).withCurvature(Curvature.KL);
    QuantizationSettings some =
        new QuantizationSettings(
            all.method(),
            all.options(),
            all.target(),
            all.curvature(),
            true,
            Optional.of(Pattern.compile("layers.0.*(k_proj|v_proj)")),
            Optional.empty());
    MemoryStore store = new MemoryStore();
    run(some, store, JobListener.SILENT);
    assertThat(store.packed()).hasSize(2);
  }

  /** A factor may take the place of the Hessian, but not before the last settings have read it. */
  @ParameterizedTest
  @EnumSource(names = {"MIN_MAX", "HESSIAN_DIAGONAL"})
  void modulesOfAGroupWithOtherSettingsReadTheSameHessian(GridSearch search) {
    GridSpec grid = GridSpec.of(Scheme.SYMMETRIC, 4).withSearch(search);
    GptqOptions options = GptqOptions.of(grid, 64);
    QuantizationSettings mixed =
        settings(Method.GPTQ, true)
            .withOptions(options)
            .withPrecisions(
                ImmutableMap.of("model.layers.0.self_attn.v_proj", new Precision(8, 32)));
    QuantizationSettings alone =
        new QuantizationSettings(
            Method.GPTQ,
            options.withGrid(grid.withBits(8)).withGroupSize(32),
            Target.PLAIN,
            Curvature.INPUTS,
            true,
            Optional.of(Pattern.compile("layers.0.self_attn.v_proj")),
            Optional.empty());
    MemoryStore together = new MemoryStore();
    run(mixed, together, JobListener.SILENT);
    MemoryStore single = new MemoryStore();
    run(alone, single, JobListener.SILENT);
    single
        .packed()
        .forEach((name, packed) ->
            assertThat(same(together.packed().get(name), packed)).as(name).isTrue());
  }

  @Test
  void modulesThatSeeTheSameInputAgreeWithoutTrueSequential() {
    // The first group of a block sees the same input either way, and so gets the same codes.
    ImmutableMap<String, PackedMatrix> sequential = quantized(Method.GPTQ, true).packed();
    ImmutableMap<String, PackedMatrix> atOnce = quantized(Method.GPTQ, false).packed();
    String first = "model.layers.0.self_attn.q_proj";
    String last = "model.layers.0.mlp.down_proj";
    assertThat(atOnce.keySet()).isEqualTo(sequential.keySet());
    assertThat(atOnce.get(first).words().mismatch(sequential.get(first).words())).isEqualTo(-1);
    assertThat(atOnce.get(last).words().mismatch(sequential.get(last).words())).isNotEqualTo(-1);
  }

  @Test
  void packedWeightsGiveWhatTheirDequantizedValuesGive() throws IOException {
    MemoryStore store = quantized(Method.GPTQ, true);
    double packed = perplexity(store.packed());
    DequantizedCheckpoint dequantized =
        DequantizedCheckpoint.write(folder.resolve("dense"), model, store.packed());
    try (Model dense = Model.open(dequantized.folder());
        Decoder decoder = dense.load(backend)) {
      double reference = Perplexity.of(decoder, windows, done -> {}).perplexity();
      assertThat(packed / reference).isCloseTo(1, within(1e-4));
    }
  }

  private double perplexity(ImmutableMap<String, PackedMatrix> packed) {
    try (Decoder decoder = new Decoder(backend, model.spec(), model.weights(backend, packed))) {
      return Perplexity.of(decoder, windows, done -> {}).perplexity();
    }
  }

  @Test
  void interruptedRunGoesOnToTheSameResult() throws IOException {
    Path whole = folder.resolve("whole");
    Path resumed = folder.resolve("resumed");
    try (WorkFolder work = workFolder(whole)) {
      run(settings(Method.GPTQ, true), work, JobListener.SILENT);
      CheckpointExporter.export(model, work, CONFIG, ImmutableMap.of(), whole, false);
    }
    try (WorkFolder work = workFolder(resumed)) {
      assertThatThrownBy(() -> run(settings(Method.GPTQ, true), work, failingAt(3)))
          .hasMessage("power cut");
      assertThat(work.finished()).isEqualTo(3);
    }
    List<Integer> quantizedAgain = new ArrayList<>();
    try (WorkFolder work = workFolder(resumed)) {
      run(settings(Method.GPTQ, true), work, recording(quantizedAgain));
      CheckpointExporter.export(model, work, CONFIG, ImmutableMap.of(), resumed, false);
      work.delete();
      assertThat(work.folder()).doesNotExist();
    }
    assertThat(quantizedAgain).isNotEmpty().allMatch(layer -> layer >= 3);
    assertThat(resumed.resolve("model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("model.safetensors"));
  }

  /** Keeps all states in memory, and forgets none. */
  private static final class MemoryStates implements StateStore {
    private final Map<Integer, List<float[]>> kept = new TreeMap<>();
    private final Set<Integer> offered = new TreeSet<>();
    private final List<float[]> curvature = new ArrayList<>();
    private int passes;
    private boolean damaged;
    private int loaded;

    @Override
    public OptionalInt newest(int last) {
      return kept.keySet().stream().mapToInt(block -> block).filter(b -> b <= last).max();
    }

    @Override
    public boolean load(int block, List<? extends KeptRows> states) {
      loaded = block;
      fill(states, kept.get(block));
      return !damaged;
    }

    private static void fill(List<? extends KeptRows> tensors, List<float[]> values) {
      for (int i = 0; i < tensors.size(); i++) {
        KeptRows to = tensors.get(i);
        to.fill(0, to.rows(), MemorySegment.ofArray(values.get(i)));
      }
    }

    private static List<float[]> values(List<? extends KeptRows> tensors) {
      return tensors.stream().map(MemoryStates::values).toList();
    }

    private static float[] values(KeptRows rows) {
      float[] values = new float[rows.rows() * rows.columns()];
      rows.copyTo(0, rows.rows(), MemorySegment.ofArray(values));
      return values;
    }

    @Override
    public boolean loadCurvature(List<PlacedTensor> sums) {
      if (curvature.isEmpty()) {
        return false;
      }
      assertThat(sums).hasSameSizeAs(curvature);
      fill(sums, curvature);
      return !damaged;
    }

    @Override
    public void putCurvature(List<PlacedTensor> sums) {
      passes++;
      curvature.clear();
      curvature.addAll(values(sums));
    }

    @Override
    public void put(int block, List<? extends KeptRows> states, Runnable stored) {
      stored.run();
      offered.add(block);
      kept.put(block, values(states));
    }
  }

  private void run(
      QuantizationSettings settings, BlockStore store, StateStore states, JobListener listener) {
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            settings.method() == Method.RTN ? ImmutableList.of() : windows,
            store,
            listener)
        .run(states);
  }

  @Test
  void activationsThatAreComputedAgainGiveTheSameBits() {
    QuantizationSettings settings =
        settings(Method.GPTQ, true).withTarget(new Target(Target.Kind.RESIDUAL, 0.5));
    MemoryStore kept = new MemoryStore();
    run(settings, kept, JobListener.SILENT);
    MemoryStore again = new MemoryStore();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            windows,
            again,
            JobListener.SILENT)
        .with(Activations.COMPUTED_AGAIN)
        .run();
    assertThat(again.packed().keySet()).isEqualTo(kept.packed().keySet()).isNotEmpty();
    again
        .packed()
        .forEach(
            (name, packed) -> assertThat(same(packed, kept.packed().get(name))).as(name).isTrue());
  }

  @ParameterizedTest
  @EnumSource(Target.Kind.class)
  void keptStatesTakeTheRunPastFinishedBlocks(Target.Kind kind) throws IOException {
    QuantizationSettings settings =
        settings(Method.GPTQ, true)
            .withTarget(kind == Target.Kind.PLAIN ? Target.PLAIN : new Target(kind, 0.5))
            .withCurvature(kind == Target.Kind.PLAIN ? Curvature.KL : Curvature.INPUTS);
    MemoryStates states = new MemoryStates();
    MemoryStore whole = new MemoryStore();
    run(settings, whole, states, JobListener.SILENT);
    int last = model.spec().blocks().size() - 1;
    assertThat(states.kept.keySet()).hasSize(last).contains(1, last);
    for (boolean damaged : new boolean[] {false, true}) {
      try (WorkFolder work = workFolder(folder.resolve("out"))) {
        for (int block = 0; block < 3; block++) {
          work.put(block, modules(whole, block));
        }
        states.kept.keySet().remove(3);
        states.damaged = damaged;
        states.offered.clear();
        states.passes = 0;
        run(settings, work, states, JobListener.SILENT);
        assertThat(states.loaded).isEqualTo(2);
        assertThat(states.offered).hasSize(damaged ? last : last - 2).contains(3, last);
        assertThat(states.passes).isEqualTo(damaged && settings.needsGradients() ? 1 : 0);
        for (int block = 0; block <= last; block++) {
          Map<String, PackedMatrix> expected = whole.packed();
          work.find(block)
              .orElseThrow()
              .forEach((name, module) ->
                  assertThat(same(module.packed(), expected.get(name))).as(name).isTrue());
        }
        work.delete();
      }
    }
  }

  private static ImmutableMap<String, QuantizedModule> modules(MemoryStore store, int block) {
    Map<String, PackedMatrix> packed = store.packed();
    return store.reports(block).stream()
        .collect(
            ImmutableMap.toImmutableMap(
                ModuleReport::name,
                report -> new QuantizedModule(packed.get(report.name()), report)));
  }

  @Test
  void nothingRunsAgainWhereAllBlocksAreFinished() throws IOException {
    try (WorkFolder work = workFolder(folder.resolve("out"))) {
      run(settings(Method.GPTQ, true), work, JobListener.SILENT);
      MemoryStates states = new MemoryStates();
      run(settings(Method.GPTQ, true), work, states, JobListener.SILENT);
      assertThat(states.offered).isEmpty();
    }
  }

  private WorkFolder workFolder(Path output) throws IOException {
    return WorkFolder.open(
        output, RunKey.builder().build(), module -> Optional.empty(), note -> {});
  }

  @Test
  void aKeptBlockMustHaveTheModulesThatAreSelected() throws IOException {
    try (WorkFolder work = workFolder(folder.resolve("out"))) {
      MemoryStore whole = quantized(Method.RTN, true);
      ModuleReport first = whole.reports().getFirst();
      work.put(
          0,
          ImmutableMap.of(
              first.name(), new QuantizedModule(whole.packed().get(first.name()), first)));
      assertThatThrownBy(() -> run(settings(Method.RTN, true), work, JobListener.SILENT))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("mlp.down_proj")
          .hasMessageContaining("--no-resume");
    }
  }

  private static JobListener failingAt(int block) {
    return new JobListener() {
      @Override
      public void block(int index, int count) {
        if (index == block) {
          throw new IllegalStateException("power cut");
        }
      }

      @Override
      public void module(ModuleReport report) {}
    };
  }

  private static JobListener recording(List<Integer> layers) {
    return new JobListener() {
      @Override
      public void block(int index, int count) {}

      @Override
      public void module(ModuleReport report) {
        layers.add(report.layer());
      }
    };
  }
}
