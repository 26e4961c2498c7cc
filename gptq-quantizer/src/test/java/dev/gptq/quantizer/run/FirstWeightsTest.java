package dev.gptq.quantizer.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.quantizer.pipeline.FirstWeights;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.Weights;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights of the first block come while a run is rehearsed. */
final class FirstWeightsTest {
  private static class Silent implements QuantizationListener {
    @Override
    public void block(int index, int count) {}

    @Override
    public void module(ModuleReport report) {}
  }

  @TempDir private Path folder;
  private final CountDownLatch lane = new CountDownLatch(1);
  private final AtomicInteger lanes = new AtomicInteger();
  private Backend backend;
  private Path model;

  @BeforeEach
  void open() throws IOException {
    backend = new ReferenceBackendProvider().open(BackendOptions.defaults());
    model = RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json("llama"), 7);
  }

  @AfterEach
  void close() {
    assertThat(backend.memory().live()).isZero();
    backend.close();
  }

  /** The backend, as if it copied beside its work: it rehearses once that has begun. */
  private Backend copying(OptionalLong room) {
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, arguments) -> {
              switch (method.getName()) {
                case "copiesBesideWork" -> {
                  return true;
                }
                case "newCopyingLane" -> {
                  lanes.incrementAndGet();
                  lane.countDown();
                }
                case "rehearsal" -> assertThat(lane.await(1, TimeUnit.MINUTES)).isTrue();
                case "memory" -> {
                  if (room.isPresent()) {
                    MemoryUsage real = backend.memory();
                    return new MemoryUsage(
                        real.live(), real.peak(), real.reserved(), room.getAsLong());
                  }
                }
                default -> {
                  // As it is.
                }
              }
              try {
                return method.invoke(backend, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private Quantization quantization(Backend on, String output) {
    int[] stream = new SplittableRandom(9).ints(64 * 32, 0, 96).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 32, OptionalInt.empty());
    return Quantization.of(model)
        .bits(4)
        .groupSize(32)
        .windows(windows)
        .on(on)
        .to(folder.resolve(output));
  }

  private byte[] written(String output) throws IOException {
    return Files.readAllBytes(folder.resolve(output).resolve("model.safetensors"));
  }

  @Test
  void theJobTakesThemOver() throws IOException {
    quantization(backend, "in-turn").run(new Silent());
    Backend copying = copying(OptionalLong.empty());
    try (QuantizationPlan plan = quantization(copying, "ahead").plan()) {
      plan.run(copying, new Silent());
    }
    // The other one packs codes.
    assertThat(lanes).hasValue(2);
    assertThat(written("ahead")).isEqualTo(written("in-turn"));
  }

  /** With room for the run, but not for weights that come ahead and a sixteenth more. */
  @Test
  void whereTheyHaveNoRoomTheyGoBeforeTheWorkBegins() throws IOException {
    long needed;
    try (QuantizationPlan plan = quantization(backend, "in-turn").plan()) {
      needed = plan.forecast(backend).memory().tensors();
      plan.run(backend, new Silent());
    }
    Backend tight = copying(OptionalLong.of(needed));
    try (QuantizationPlan plan = quantization(tight, "tight").plan()) {
      lane.countDown();
      assertThat(plan.forecast(tight).weights()).isEqualTo(Weights.IN_TURN);
      plan.run(
          tight,
          new Silent() {
            @Override
            public void working(Path work, int finished) {
              assertThat(backend.memory().live()).isZero();
            }
          });
    }
    assertThat(lanes).hasValue(1);
    assertThat(written("tight")).isEqualTo(written("in-turn"));
  }

  /** A run that does not fit is refused as without them. */
  @Test
  void aRunThatDoesNotFitGivesThemBack() throws IOException {
    long needed;
    try (QuantizationPlan plan = quantization(backend, "in-turn").plan()) {
      needed = plan.forecast(backend).memory().tensors();
    }
    Backend small = copying(OptionalLong.of(needed / 2));
    lane.countDown();
    try (QuantizationPlan plan =
        quantization(small, "small").hiddenStates(HiddenStates.DEVICE).plan()) {
      assertThatThrownBy(() -> plan.run(small, new Silent()))
          .isInstanceOf(OutOfMemoryException.class);
    }
    assertThat(backend.memory().live()).isZero();
  }

  @Test
  void processorsAndSmallDevicesHaveNone() throws IOException {
    try (Model read = Model.open(model)) {
      FirstWeights.begin(backend, read.spec(), read.weights(backend)).close();
      assertThat(backend.memory().peak()).isZero();
      Backend small = copying(OptionalLong.of(1000));
      FirstWeights.begin(small, read.spec(), read.weights(small)).close();
      assertThat(lanes).hasValue(0);
    }
  }
}
