package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.backend.Work;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Activations;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.Pace;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.StatePlaces;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.OutOfMemoryException;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** What does not fit is refused, with what would. */
final class MemoryFitTest {
  private static final QuantizationSettings BEST =
      QuantizationSettings.of(
              Method.GPTQ, Quality.BEST.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 32)))
          .withTarget(Quality.BEST.target())
          .withCurvature(Quality.BEST.curvature());
  private static final QuantizationSettings BY_INPUTS = BEST.withCurvature(Curvature.INPUTS);

  @TempDir private Path folder;
  private Backend backend;

  @BeforeEach
  void open() {
    backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
  }

  @AfterEach
  void close() {
    backend.close();
  }

  private Model model(int blocks) throws IOException {
    return Model.open(
        RandomCheckpoint.write(
            folder.resolve("blocks-" + blocks),
            TinyConfigs.json("llama").put("num_hidden_layers", blocks),
            1));
  }

  private static ImmutableList<int[]> windows(int count) {
    return ImmutableList.copyOf(Collections.nCopies(count, new int[64]));
  }

  private Forecast forecast(Model model, int windows) {
    return forecast(model, BEST, windows, Activations.KEPT);
  }

  private Forecast forecast(
      Model model, QuantizationSettings settings, int windows, Activations activations) {
    return Forecast.of(
        backend,
        model.spec(),
        model::weights,
        settings,
        windows(windows),
        activations,
        StatePlaces.all(HiddenStates.DEVICE));
  }

  @Test
  void activationsAreComputedAgainWhereThatMakesItFit() throws IOException {
    try (Model model = model(2)) {
      long kept = forecast(model, BY_INPUTS, 1024, Activations.KEPT).memory().tensors();
      long again = forecast(model, BY_INPUTS, 1024, Activations.COMPUTED_AGAIN).memory().tensors();
      assertThat(again).isLessThan(kept * 9 / 10);
      assertThat(fitting(kept, model).activations()).isEqualTo(Activations.KEPT);
      assertThat(fitting(kept, model).note()).isEmpty();
      Forecast less = fitting(kept - 1, model);
      assertThat(less.memory().tensors()).isEqualTo(again);
      assertThat(less.activations()).isEqualTo(Activations.COMPUTED_AGAIN);
      assertThat(less.note()).hasValueSatisfying(note -> assertThat(note).contains("twice"));
    }
  }

  private Forecast fitting(long room, Model model) {
    return Forecast.within(
        room, backend, model.spec(), model::weights, BY_INPUTS, windows(1024), Optional.empty());
  }

  @Test
  void hiddenStatesLeaveTheDeviceWhereNothingElseMakesItFit() throws IOException {
    try (Model model = model(2)) {
      Forecast again = forecast(model, BY_INPUTS, 1024, Activations.COMPUTED_AGAIN);
      Forecast less = fitting(again.memory().tensors() - 1, model);
      assertThat(less.memory().tensors())
          .isLessThan(again.memory().tensors() - again.memory().states() / 2);
      assertThat(less.places().states())
          .as("a CPU's memory is the machine's")
          .isEqualTo(HiddenStates.FILES);
      assertThat(less.note()).hasValueSatisfying(note -> assertThat(note).contains("in files"));
      assertThat(less.memory().lines(1).get(1)).endsWith("elsewhere");
      assertThat(fitting(1, model).places().states()).isEqualTo(HiddenStates.DEVICE);
    }
  }

  /** It costs copies only, where all else costs work. */
  @Test
  void hiddenStatesOfABackwardPassLeaveTheDeviceFirst() throws IOException {
    try (Model model = model(6)) {
      ImmutableList<int[]> windows = windows(64);
      long kept = forecast(model, 64).memory().tensors();
      Forecast less =
          Forecast.within(
              kept - 1, backend, model.spec(), model::weights, BEST, windows, Optional.empty());
      assertThat(less.memory().tensors()).isLessThan(kept);
      assertThat(less.places()).isEqualTo(new StatePlaces(HiddenStates.DEVICE, HiddenStates.FILES));
      assertThat(less.files())
          .isEqualTo(BorderRoom.bytes(model.spec(), windows, backend.activationType()));
      assertThat(less.note())
          .hasValue(
              "hidden states between the blocks of a backward pass lie in files beside the output");
      Forecast asked =
          Forecast.within(
              kept - 1,
              backend,
              model.spec(),
              model::weights,
              BEST,
              windows,
              Optional.of(HiddenStates.DEVICE));
      assertThat(asked.places()).isEqualTo(StatePlaces.all(HiddenStates.DEVICE));
    }
  }

  @Test
  void theOptionThatMakesItFitIsNamed() throws IOException {
    try (Model model = model(2)) {
      MemoryFit fit =
          new MemoryFit(backend, model, BEST, windows(64), Optional.of(HiddenStates.DEVICE));
      long needed = forecast(model, 64).memory().tensors();
      assertThatCode(() -> fit.requireRoom(needed, needed)).doesNotThrowAnyException();
      assertThatThrownBy(() -> fit.requireRoom(needed, needed - 1))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("no memory: the run needs about %d MiB", needed >> 20)
          .hasMessageContaining("It would fit with --curvature inputs (")
          .hasMessageContaining(", or with --target plain (")
          .hasMessageContaining(", or with --quality fast (")
          .hasMessageContaining(", or with --samples 32 (");
      long some = forecast(model, 4).memory().tensors();
      assertThatThrownBy(() -> fit.requireRoom(needed, some))
          .hasMessageContaining("--samples 4 (%d MiB)", some >> 20);
      assertThatThrownBy(() -> fit.requireRoom(needed, 1000))
          .hasMessageContaining("No option makes it fit; take a machine with more memory");
    }
  }

  @Test
  void aBudgetNeedsTheWholeModel() throws IOException {
    try (Model model = model(2)) {
      MemoryFit fit =
          new MemoryFit(backend, model, BEST, windows(1), Optional.of(HiddenStates.DEVICE));
      assertThatCode(() -> fit.requireWhole(Loading.WHOLE)).doesNotThrowAnyException();
      assertThatThrownBy(() -> fit.requireWhole(Loading.BLOCKS))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("--target-bpw measures the whole model " + model.path())
          .hasMessageContaining("--observe N");
    }
  }

  /** What a preset brings gives way where there is no room for it, what was asked for does not. */
  @Test
  void gradientsAreLeftOutWhereOnlyTheyDoNotFit() throws IOException {
    try (Model model = model(2)) {
      long inputs = forecast(model, BY_INPUTS, 64, Activations.KEPT).memory().tensors();
      Forecast forecast = forecast(model, 64);
      long whole = forecast.memory().tensors();
      List<String> notes = new ArrayList<>();
      MemoryFit fit =
          new MemoryFit(backend, model, BEST, windows(64), Optional.of(HiddenStates.DEVICE));
      assertThat(fit.withoutGradients(forecast, whole, notes::add)).isEmpty();
      assertThat(fit.withoutGradients(forecast, 1, notes::add)).isEmpty();
      assertThat(notes).isEmpty();
      assertThat(fit.withoutGradients(forecast, inputs, notes::add)).contains(BY_INPUTS);
      assertThat(notes)
          .singleElement()
          .asString()
          .endsWith("MiB; curvature of the inputs only (%d MiB)".formatted(inputs >> 20));
      Quantization asked =
          Quantization.of(model.path()).settings(BEST).windows(windows(64)).to(folder.resolve("q"));
      try (QuantizationPlan plan = asked.plan()) {
        assertThat(plan.forecast(backend, inputs).memory().tensors()).isEqualTo(inputs);
        assertThat(plan.request().settings().curvature()).isEqualTo(Curvature.INPUTS);
        assertThat(plan.notes()).anyMatch(note -> note.contains("curvature of the inputs only"));
      }
      try (QuantizationPlan plan = asked.curvature(Curvature.KL).plan()) {
        assertThat(plan.forecast(backend, inputs).memory().tensors()).isEqualTo(whole);
        assertThat(plan.request().settings().curvature()).isEqualTo(Curvature.KL);
      }
    }
  }

  @Test
  void aSmallHeapIsRefused() {
    assertThatCode(() -> MemoryFit.requireHeap(10, 10)).doesNotThrowAnyException();
    assertThatThrownBy(() -> MemoryFit.requireHeap(5L << 30, 4L << 30))
        .isInstanceOf(OutOfMemoryException.class)
        .hasMessageContaining("5120 MiB of Java heap, which may take 4096 MiB")
        .hasMessageContaining("-Xmx7g");
  }

  /** Blocks that are alike are rehearsed once and count as often as they are there. */
  @Test
  void workGrowsWithTheBlocks() throws IOException {
    try (Model two = model(2);
        Model six = model(6);
        Model ten = model(10)) {
      Work more = forecast(six, 1).work().plus(forecast(two, 1).work().times(-1));
      assertThat(more.products32()).isPositive();
      assertThat(more.steps()).isPositive();
      assertThat(more.trials()).isPositive();
      Work again = forecast(ten, 1).work().plus(forecast(six, 1).work().times(-1));
      assertThat(again.products32()).isCloseTo(more.products32(), within(1.0));
      assertThat(again.calls()).isEqualTo(more.calls());
    }
  }

  @Test
  void productsAreCountedAndTimed() {
    try (var rehearsal = backend.rehearsal();
        TensorScope scope = rehearsal.newScope()) {
      Tensor a = scope.rowMajor(DType.F32, 2, 3);
      Tensor b = scope.columnMajor(DType.F32, 3, 4);
      rehearsal.linalg().gemm(1, a, b, 0, scope.rowMajor(DType.F32, 2, 4));
      rehearsal.linalg().accumulateGram(1, a, scope.rowMajor(DType.F32, 3, 3));
      assertThat(rehearsal.work()).isEqualTo(new Work(24 + 9, 0, 0, 0, 0, 2));
    }
    Pace pace = new Pace(2, 3, 5, 7, 11, 13);
    assertThat(pace.seconds(new Work(1, 10, 100, 1000, 10000, 100000))).isEqualTo(1417532);
  }

  /** Takes seconds, on a cold JVM ten. */
  @Test
  @EnabledIfSystemProperty(named = "gptq.test.grid", matches = "true")
  void aProbeTellsThePaceOfABackend() {
    Pace pace = Pace.of(backend, new Work(1e9, 1e9, 1e9, 1e9, 1e9, 1e3));
    assertThat(1 / pace.perProduct32()).as("multiply-adds a second").isBetween(1e7, 1e14);
    assertThat(1 / pace.perStep()).isBetween(1e4, 1e14);
    assertThat(1 / pace.perTrial()).isBetween(1e4, 1e14);
    assertThat(1 / pace.perByte()).isBetween(1e5, 1e14);
    assertThat(pace.perCall()).isBetween(1e-10, 1e-1);
    assertThat(backend.memory().live()).isZero();
  }
}
