package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Wherever hidden states lie, the result has the same bits. */
final class HiddenStatesTest {
  private static final int WINDOW = 16;

  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({
    "llama, HOST, INPUTS, true",
    "llama, FILES, KL, false",
    "qwen3-moe, FILES, INPUTS, true",
    "qwen3-moe, HOST, TOKENS, false",
    "gemma4-shared, FILES, INPUTS, true",
  })
  void doNotChangeTheResult(
      String family, HiddenStates where, Curvature curvature, boolean sequential)
      throws IOException {
    Path files = folder.resolve("states");
    List<Long> sizes = new ArrayList<>();
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
        Model model =
            Model.open(
                RandomCheckpoint.write(folder.resolve("model"), TinyConfigs.json(family), 7))) {
      QuantizationSettings settings =
          new QuantizationSettings(
              Method.GPTQ,
              GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16),
              new Target(Target.Kind.RESIDUAL, 0.5),
              curvature,
              sequential,
              Optional.empty(),
              Optional.empty());
      MemoryStore here = new MemoryStore();
      job(backend, model, settings, here, JobListener.SILENT).run();
      MemoryStore elsewhere = new MemoryStore();
      JobListener listener =
          new JobListener() {
            @Override
            public void block(int index, int count) {
              sizes.add(size(files));
            }

            @Override
            public void module(ModuleReport report) {}
          };
      job(backend, model, settings, elsewhere, listener).with(StatePlaces.all(where), files).run();
      ImmutableMap<String, PackedMatrix> expected = here.packed();
      assertThat(elsewhere.packed().keySet()).isEqualTo(expected.keySet()).isNotEmpty();
      elsewhere
          .packed()
          .forEach((name, packed) ->
              assertThat(packed.words().mismatch(expected.get(name).words()))
                  .as(name)
                  .isEqualTo(-1));
      long bytes = 2L * 4 * WINDOW * model.spec().hidden() * Float.BYTES;
      assertThat(sizes.getFirst())
          .as("residual streams, and what blocks of Gemma 4 read besides")
          .isBetween(
              where == HiddenStates.FILES ? bytes : 0, where == HiddenStates.FILES ? 3 * bytes : 0);
      assertThat(size(files)).as("files go in the end").isZero();
    }
  }

  @Test
  void aMachineOrADiskWithoutRoomIsNamed() throws IOException {
    try (StateRoom room = new StateRoom(HiddenStates.HOST, folder)) {
      assumeThat(MemoryCounts.available()).isPresent();
      assertThatThrownBy(() -> room.allocate(1L << 60))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining("--hidden-states files");
    }
    Path file = Files.writeString(folder.resolve("file"), "in the way");
    try (StateRoom room = new StateRoom(HiddenStates.FILES, file.resolve("states"))) {
      assertThatThrownBy(() -> room.allocate(1))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageContaining("batch-0: hidden states cannot be kept there");
    }
  }

  private static long size(Path files) {
    if (!Files.isDirectory(files)) {
      return 0;
    }
    try (var entries = Files.walk(files)) {
      return entries.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static QuantizationJob job(
      Backend backend,
      Model model,
      QuantizationSettings settings,
      BlockStore store,
      JobListener listener) {
    int[] stream =
        new SplittableRandom(3).ints(4L * WINDOW, 0, model.spec().vocabulary()).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, WINDOW, OptionalInt.empty());
    return new QuantizationJob(
            backend, model.spec(), model.weights(backend), settings, windows, store, listener)
        .withBatches(WINDOW);
  }
}
