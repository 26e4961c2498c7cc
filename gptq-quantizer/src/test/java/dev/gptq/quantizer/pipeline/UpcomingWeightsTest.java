package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.simd.SimdBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class UpcomingWeightsTest {
  @TempDir private Path folder;

  private Backend backend;
  private Model model;

  @BeforeEach
  void open() throws IOException {
    backend =
        new SimdBackendProvider()
            .open(new BackendOptions(1, 0, ImmutableMap.of("simd.lanes", "1")));
    model =
        Model.open(
            RandomCheckpoint.write(
                folder.resolve("model"), TinyConfigs.json("llama").put("num_hidden_layers", 3), 7));
  }

  @AfterEach
  void close() throws IOException {
    try (Backend _ = backend) {
      model.close();
    }
  }

  /** A source for activations that cannot hold weights of float32. */
  private WeightSource rounding() {
    return model.weights(
        (Backend)
            Proxy.newProxyInstance(
                Backend.class.getClassLoader(),
                new Class<?>[] {Backend.class},
                (proxy, method, arguments) -> {
                  assertThat(method.getName()).isEqualTo("activationType");
                  return DType.BF16;
                }));
  }

  private UpcomingWeights upcoming(WeightSource source) {
    return new UpcomingWeights(0, backend, model.spec(), source);
  }

  private long live() {
    return backend.memory().live();
  }

  @Test
  void theyAreThoseOfTheCheckpoint() {
    BlockSpec block = model.spec().blocks().get(1);
    try (UpcomingWeights upcoming = upcoming(model.weights(backend));
        Arena arena = Arena.ofConfined()) {
      upcoming.start(1);
      ImmutableMap<String, Tensor> tensors = upcoming.of(1);
      assertThat(tensors).hasSize((int) block.linears().count());
      tensors.forEach((name, tensor) -> {
        StoredTensor stored = model.checkpoint().require(name);
        MemorySegment bytes = arena.allocate(stored.byteSize());
        tensor.copyTo(bytes);
        assertThat(bytes.mismatch(stored.data())).isEqualTo(-1);
      });
      upcoming.loaded();
    }
    assertThat(live()).isZero();
  }

  @Test
  void thoseThatAreNotRoundedGoOnceTheBlockIsLoaded() {
    WeightSource source = model.weights(backend);
    try (UpcomingWeights upcoming = upcoming(source)) {
      upcoming.of(0);
      assertThat(live()).isEqualTo(source.bytesToBring(model.spec().blocks().getFirst()));
      upcoming.loaded();
      assertThat(live()).isZero();
    }
  }

  @Test
  void thoseThatAreRoundedStayUntilTheNextBlockIsLoaded() {
    WeightSource source = rounding();
    long one = source.bytesToBring(model.spec().blocks().getFirst());
    try (UpcomingWeights upcoming = upcoming(source)) {
      upcoming.of(0);
      upcoming.loaded();
      assertThat(live()).isEqualTo(one);
      upcoming.start(1);
      upcoming.of(1);
      assertThat(live()).isEqualTo(2 * one);
      upcoming.loaded();
      assertThat(live()).isEqualTo(one);
      // This one is given back although nobody asks for it.
      upcoming.start(2);
    }
    assertThat(live()).isZero();
  }

  @Test
  void theyComeAheadWhereThereIsRoom() {
    QuantizationSettings settings =
        QuantizationSettings.of(
            QuantizationSettings.Method.RTN, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16));
    Forecast inTurn =
        Forecast.of(
            backend,
            model.spec(),
            model::weights,
            settings,
            ImmutableList.of(),
            Activations.KEPT,
            StatePlaces.all(HiddenStates.DEVICE));
    long needed = inTurn.memory().tensors();
    long room = Math.ceilDiv((needed + 1000) * 16, 15);
    assertThat(inTurn.weights()).isEqualTo(Weights.IN_TURN);
    Forecast ahead = inTurn.within(room, 1000);
    assertThat(ahead.weights()).isEqualTo(Weights.AHEAD);
    assertThat(ahead.memory().tensors()).isEqualTo(needed + 1000);
    assertThat(ahead.memory().lines(room)).hasSize(inTurn.memory().lines(room).size() + 1);
    assertThat(inTurn.within(room - 2, 1000)).isEqualTo(inTurn);
  }

  @Test
  void aFailureIsThatOfTheWeights() {
    try (UpcomingWeights upcoming = upcoming(model.weights(backend))) {
      upcoming.start(3);
      assertThatThrownBy(() -> upcoming.of(3)).isInstanceOf(IndexOutOfBoundsException.class);
    }
    assertThat(live()).isZero();
  }
}
