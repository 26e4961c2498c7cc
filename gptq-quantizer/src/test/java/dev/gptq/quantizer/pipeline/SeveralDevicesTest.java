package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.base.Preconditions;
import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.util.concurrent.Uninterruptibles;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendProvider;
import dev.gptq.backend.DeviceGroup;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.OutOfMemoryException;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.node.ObjectNode;

final class SeveralDevicesTest {
  private static final int WINDOW = 16;
  private static final int WINDOWS = 10;

  @TempDir private Path folder;

  /** What a run leaves: packed weights, what it reported, and the memory of its devices. */
  private record Outcome(
      Map<String, List<Integer>> words, List<String> reports, List<MemoryUsage> memory) {}

  private Model model(String architecture) throws IOException {
    ObjectNode config = TinyConfigs.json(architecture);
    if (architecture.equals("qwen3-moe")) {
      config.put("num_experts", 7).put("num_experts_per_tok", 2);
    }
    return Model.open(RandomCheckpoint.write(folder.resolve(architecture), config, 7));
  }

  private static ImmutableList<int[]> windows(Model model) {
    int[] stream =
        new SplittableRandom(3)
            .ints((long) WINDOWS * WINDOW, 0, model.spec().vocabulary())
            .toArray();
    return TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
  }

  private static IntFunction<Backend> simd() {
    return simd(1);
  }

  private static IntFunction<Backend> simd(int lanes) {
    BackendProvider provider = new SimdBackendProvider();
    Map<String, String> settings = Map.of("simd.lanes", Integer.toString(lanes));
    return device -> provider.open(new BackendOptions(1, 0, ImmutableMap.copyOf(settings)));
  }

  private static QuantizationSettings settings(Target.Kind kind, boolean sequential) {
    QuantizationSettings plain =
        QuantizationSettings.of(
            Method.GPTQ,
            Quality.STANDARD.apply(GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16)));
    return new QuantizationSettings(
        plain.method(),
        plain.options(),
        kind == Target.Kind.PLAIN ? Target.PLAIN : new Target(kind, 0.5),
        Curvature.INPUTS,
        sequential,
        plain.include(),
        plain.exclude());
  }

  private static QuantizationJob job(
      Backend backend,
      Model model,
      QuantizationSettings settings,
      BlockStore store,
      JobListener listener) {
    return new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            windows(model),
            store,
            listener)
        .withBatches(WINDOW);
  }

  private static Outcome run(
      int devices,
      int lanes,
      Model model,
      QuantizationSettings settings,
      Activations activations,
      Weights weights) {
    MemoryStore store = new MemoryStore();
    List<String> reports = new ArrayList<>();
    List<MemoryUsage> memory = SeveralDevices.notes();
    JobListener listener =
        new JobListener() {
          @Override
          public void block(int index, int count) {}

          @Override
          public void module(ModuleReport r) {
            reports.add(r.name() + " " + r.error() + " " + r.rtnError() + " " + r.tokens());
          }
        };
    try (Backend backend = SeveralDevices.of(devices, simd(lanes), memory)) {
      job(backend, model, settings, store, listener).with(activations).with(weights).run();
    }
    Map<String, List<Integer>> words = new TreeMap<>();
    store
        .packed()
        .forEach((name, packed) ->
            words.put(
                name,
                Arrays.stream(packed.words().toArray(ValueLayout.JAVA_INT)).boxed().toList()));
    return new Outcome(words, reports, memory);
  }

  /**
   * More devices than lanes of batches, and numbers that do not divide them, too; where there are
   * experts each device has three lanes of its own as well. Weights come ahead to an even number.
   */
  @ParameterizedTest
  @CsvSource({
    "llama, RESIDUAL, true, KEPT, 3 9",
    "llama, RESIDUAL, true, COMPUTED_AGAIN, 2",
    "llama, PLAIN, false, KEPT, 4",
    "qwen3-moe, RESIDUAL, true, KEPT, 2",
    "qwen3-moe, PLAIN, false, KEPT, 3",
  })
  void anyNumberGivesTheSameBits(
      String architecture,
      Target.Kind kind,
      boolean sequential,
      Activations activations,
      String numbers)
      throws IOException {
    try (Model model = model(architecture)) {
      QuantizationSettings settings = settings(kind, sequential);
      Outcome one = run(1, 1, model, settings, activations, Weights.IN_TURN);
      assertThat(one.words()).isNotEmpty();
      for (String number : Splitter.on(' ').split(numbers)) {
        int devices = Integer.parseInt(number);
        Weights weights = devices % 2 == 0 ? Weights.AHEAD : Weights.IN_TURN;
        Outcome several = run(devices, 3, model, settings, activations, weights);
        assertThat(several.words()).as("%s devices", devices).isEqualTo(one.words());
        assertThat(several.reports()).isEqualTo(one.reports());
        assertThat(several.memory()).hasSize(devices).allMatch(usage -> usage.live() == 0);
      }
    }
  }

  /** What is foreseen is what the first device takes, and no other takes more. */
  @ParameterizedTest
  @CsvSource({"llama, 2", "qwen3-moe, 3", "qwen3-moe, 1"})
  void memoryIsThatOfTheLargestShare(String architecture, int devices) throws IOException {
    try (Model model = model(architecture)) {
      QuantizationSettings settings = settings(Target.Kind.RESIDUAL, true);
      List<MemoryUsage> memory =
          run(devices, 2, model, settings, Activations.KEPT, Weights.IN_TURN).memory();
      long most = memory.stream().mapToLong(MemoryUsage::peak).max().orElseThrow();
      try (Backend backend = SeveralDevices.of(devices, simd(2), SeveralDevices.notes())) {
        long estimate =
            Forecast.of(
                    backend,
                    model.spec(),
                    model::weights,
                    settings,
                    windows(model),
                    Activations.KEPT,
                    StatePlaces.all(HiddenStates.DEVICE),
                    WINDOW)
                .memory()
                .tensors();
        assertThat(estimate).isGreaterThanOrEqualTo(most);
      }
    }
  }

  @Test
  void aDeviceThatCannotBeOpenedIsToldAndNothingStaysTaken() throws IOException {
    List<MemoryUsage> memory = SeveralDevices.notes();
    IntFunction<Backend> simd = simd();
    try (Model model = model("llama");
        Backend backend =
            SeveralDevices.of(
                3,
                device -> {
                  if (device == 1) {
                    throw new OutOfMemoryException("device 1 is full");
                  }
                  return simd.apply(device);
                },
                memory)) {
      QuantizationJob job =
          job(
              backend,
              model,
              settings(Target.Kind.PLAIN, true),
              new MemoryStore(),
              JobListener.SILENT);
      assertThatThrownBy(job::run)
          .isExactlyInstanceOf(OutOfMemoryException.class)
          .hasMessage("device 1 is full")
          .hasNoSuppressedExceptions();
      assertThat(memory).hasSize(1);
    }
    assertThat(memory).hasSize(2).allMatch(usage -> usage.live() == 0);
  }

  @Test
  void whatFailsInARunIsToldOnceAndNothingStaysTaken() throws IOException {
    List<MemoryUsage> memory = SeveralDevices.notes();
    try (Model model = model("llama");
        Backend backend = SeveralDevices.of(2, simd(), memory)) {
      QuantizationJob job =
          job(
              backend,
              model,
              settings(Target.Kind.PLAIN, true),
              new MemoryStore(),
              new JobListener() {
                @Override
                public void block(int index, int count) {
                  if (index == 1) {
                    throw new OutOfMemoryException("full");
                  }
                }

                @Override
                public void module(ModuleReport report) {}
              });
      assertThatThrownBy(job::run).hasMessage("full").hasNoSuppressedExceptions();
    }
    assertThat(memory).hasSize(2).allMatch(usage -> usage.live() == 0);
  }

  @Test
  void whatIsReceivedFitsWhatReceivesIt() {
    try (Backend backend = SeveralDevices.of(2, simd(), SeveralDevices.notes());
        DeviceGroup group = new DeviceGroup(backend)) {
      TensorScope[] scopes = new TensorScope[2];
      Tensor[] tensors = new Tensor[2];
      group.all((device, own) -> {
        scopes[device] = own.newScope();
        tensors[device] = scopes[device].filled(device, 2, 3 + device);
      });
      assertThatThrownBy(() -> backend.receive(tensors[1], tensors[0]))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("2 x 4");
      backend.receive(tensors[1].columns(0, 3), tensors[0]);
      assertThat(HostCopies.floats(tensors[0])).containsOnly(1);
      assertThatThrownBy(() -> backend.newDevice(2)).isInstanceOf(IndexOutOfBoundsException.class);
      group.all((device, own) -> scopes[device].close());
    }
  }

  /** What is begun comes before the next step on its member, and its failure is told there. */
  @Test
  void whatIsBegunComesBeforeTheNextStep() {
    List<String> done = new CopyOnWriteArrayList<>();
    CountDownLatch told = new CountDownLatch(1);
    try (Backend backend = SeveralDevices.of(2, simd(), SeveralDevices.notes());
        DeviceGroup group = new DeviceGroup(backend)) {
      group.begin((device, own) -> {
        if (device == 1) {
          Uninterruptibles.awaitUninterruptibly(told);
        }
        done.add("begun " + device);
      });
      assertThat(done).containsExactly("begun 0");
      told.countDown();
      group.all((device, own) -> done.add("next " + device));
      assertThat(done).containsSubsequence("begun 1", "next 1").hasSize(4);
      group.begin((device, own) -> Preconditions.checkState(device == 0, "begun in vain"));
      assertThatThrownBy(() -> group.all((device, own) -> done.add("done all the same")))
          .hasMessage("begun in vain");
      assertThat(done).hasSize(6);
      group.all((device, own) -> {});
    }
  }

  /** Finished blocks. */
  private static final class Kept implements BlockStore {
    private final Map<Integer, ImmutableMap<String, QuantizedModule>> blocks =
        new ConcurrentHashMap<>();

    @Override
    public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
      return Optional.ofNullable(blocks.get(block));
    }

    @Override
    public BlockSink begin(int block) {
      return BlockSink.collecting(modules -> blocks.put(block, modules));
    }
  }

  /** Work goes on with another number of devices where an interrupted run has kept its states. */
  @Test
  void statesOfOneDeviceAreThoseOfSeveral() throws IOException {
    List<byte[]> kept = new ArrayList<>();
    StateStore states =
        new StateStore() {
          @Override
          public OptionalInt newest(int last) {
            return kept.isEmpty() ? OptionalInt.empty() : OptionalInt.of(Math.min(1, last));
          }

          @Override
          public boolean load(int block, List<? extends KeptRows> into) {
            for (int i = 0; i < into.size(); i++) {
              into.get(i).fill(0, into.get(i).rows(), MemorySegment.ofArray(kept.get(i)));
            }
            return true;
          }

          @Override
          public void put(int block, List<? extends KeptRows> of, Runnable stored) {
            for (KeptRows state : of) {
              byte[] bytes = new byte[Math.toIntExact(state.byteSize())];
              state.copyTo(0, state.rows(), MemorySegment.ofArray(bytes));
              kept.add(bytes);
            }
          }
        };
    QuantizationSettings settings = settings(Target.Kind.RESIDUAL, true);
    try (Model model = model("llama")) {
      Kept whole = new Kept();
      try (Backend backend = SeveralDevices.of(3, simd(), SeveralDevices.notes())) {
        job(backend, model, settings, whole, JobListener.SILENT).run(states);
      }
      Kept resumed = new Kept();
      resumed.put(0, whole.find(0).orElseThrow());
      try (Backend backend = SeveralDevices.of(2, simd(), SeveralDevices.notes())) {
        job(backend, model, settings, resumed, JobListener.SILENT).run(states);
      }
      assertThat(kept).hasSize(2 * WINDOWS);
      resumed
          .find(1)
          .orElseThrow()
          .forEach((name, module) -> {
            MemorySegment words = whole.find(1).orElseThrow().get(name).packed().words();
            assertThat(module.packed().words().mismatch(words)).as(name).isEqualTo(-1);
          });
    }
  }
}
