package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.HeardGradients;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class BorderRoomTest {
  private static final int BLOCKS = 2;
  private static final int WINDOW = 4;

  @TempDir private Path folder;
  private Path path;
  private Path files;

  @BeforeEach
  void write() throws IOException {
    path =
        RandomCheckpoint.write(
            folder.resolve("model"), TinyConfigs.json("llama").put("num_hidden_layers", BLOCKS), 7);
    files = folder.resolve("borders");
  }

  private List<int[]> windows(Model model, int count) {
    SplittableRandom random = new SplittableRandom(5);
    return IntStream.range(0, count)
        .mapToObj(i -> random.ints(WINDOW, 0, model.spec().vocabulary()).toArray())
        .toList();
  }

  /** Also of a later pass with fewer windows, which has the room of the first. */
  @ParameterizedTest
  @ValueSource(strings = {"simd", "reference"})
  void gradientsAreTheSameWhereverBordersAre(String name) throws IOException {
    try (Backend backend = Backends.open(name, BackendOptions.defaults(), refused -> {});
        Model model = Model.open(path)) {
      List<List<int[]>> batches = List.of(windows(model, 2), windows(model, 1));
      List<float[]> here = gradients(model, backend, HiddenStates.DEVICE, batches);
      assertThat(here).hasSize(2 * BLOCKS * 7);
      for (HiddenStates where : List.of(HiddenStates.HOST, HiddenStates.FILES)) {
        assertThat(gradients(model, backend, where, batches))
            .usingRecursiveComparison()
            .isEqualTo(here);
      }
      try (Decoder decoder = model.load(backend);
          StateRoom room = new StateRoom(HiddenStates.FILES, files);
          BordersBeside beside = new BordersBeside(backend, room)) {
        assertThat(HeardGradients.of(backend, decoder.backward(beside), batches))
            .as("on a lane")
            .usingRecursiveComparison()
            .isEqualTo(here);
      }
      assertThat(files).isEmptyDirectory();
      assertThat(backend.memory().live()).isZero();
    }
  }

  private List<float[]> gradients(
      Model model, Backend backend, HiddenStates where, List<List<int[]>> batches) {
    try (Decoder decoder = model.load(backend);
        BorderRoom room = new BorderRoom(decoder, new BorderPlace(where, files))) {
      return HeardGradients.of(backend, room.backward(), batches);
    }
  }

  @Test
  void filesGoWhenAPassFails() throws IOException {
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
        Model model = Model.open(path)) {
      List<Long> sizes = new ArrayList<>();
      try (Decoder decoder = model.load(backend);
          StateRoom room = new StateRoom(HiddenStates.FILES, files);
          BordersBeside beside = new BordersBeside(backend, room)) {
        BackwardPass pass = decoder.backward(beside);
        assertThatThrownBy(() ->
                pass.run(
                    windows(model, 1),
                    (logits, round, from, d) -> {
                      sizes.add(size());
                      throw new IllegalStateException("stop");
                    },
                    (block, module, input, gradient) -> {}))
            .hasMessage("stop");
      }
      assertThat(sizes)
          .containsExactly(
              BorderRoom.bytes(model.spec(), windows(model, 1), backend.activationType()));
      assertThat(files).isEmptyDirectory();
      assertThat(backend.memory().live()).isZero();
    }
  }

  private long size() {
    try (var entries = Files.list(files)) {
      return entries.mapToLong(file -> file.toFile().length()).sum();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void bordersLeaveTheDeviceWhereThatMakesItFit() {
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), refused -> {})) {
      long room = backend.memory().most();
      assertThat(BorderChoice.of(backend, Optional.empty(), 5, where -> room))
          .isEqualTo(new BorderChoice(HiddenStates.DEVICE, room, 0))
          .satisfies(choice -> assertThat(choice.note()).isEmpty());
      assertThat(
              BorderChoice.of(
                  backend,
                  Optional.empty(),
                  5,
                  where -> where == HiddenStates.DEVICE ? room + 1 : room))
          .isEqualTo(new BorderChoice(HiddenStates.FILES, room, 5))
          .satisfies(choice -> assertThat(choice.note()).isPresent());
      assertThat(BorderChoice.of(backend, Optional.of(HiddenStates.DEVICE), 5, where -> room + 1))
          .isEqualTo(new BorderChoice(HiddenStates.DEVICE, room + 1, 0));
      assertThat(BorderChoice.of(backend, Optional.of(HiddenStates.HOST), 5, where -> 1))
          .isEqualTo(new BorderChoice(HiddenStates.HOST, 1, 0));
    }
  }
}
