package dev.gptq.models.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.formats.SharedFiles;
import dev.gptq.models.Model;
import dev.gptq.models.forward.TextModel;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class LoadingTest {
  /** Several batches of windows. */
  private static final int WINDOWS = 33;

  private static final int LENGTH = 64;
  private Backend backend;

  @BeforeEach
  void open() {
    backend = Backends.open("simd", BackendOptions.defaults(), refused -> {});
  }

  @AfterEach
  void close() {
    assertThat(backend.memory().live()).isZero();
    backend.close();
  }

  private static ImmutableList<int[]> windows(Model model) {
    SplittableRandom random = new SplittableRandom(3);
    return IntStream.range(0, WINDOWS)
        .mapToObj(i -> random.ints(LENGTH, 0, model.spec().vocabulary()).toArray())
        .collect(ImmutableList.toImmutableList());
  }

  private static TextModel load(Loading loading, Backend backend, Model model) {
    return loading.load(backend, model, ImmutableMap.of());
  }

  /** Among them activations that later blocks read, experts, and state beside attention. */
  @ParameterizedTest
  @ValueSource(strings = {"gemma4", "granite-hybrid"})
  void blocksGiveTheSameBitsAsTheWhole(String checkpoint) throws IOException {
    try (Model model = Model.open(SharedFiles.architecture(checkpoint));
        TextModel whole = load(Loading.WHOLE, backend, model);
        TextModel blocks = load(Loading.BLOCKS, backend, model)) {
      ImmutableList<int[]> windows = windows(model);
      List<Integer> done = new ArrayList<>();
      double perplexity = Perplexity.of(blocks, windows, done::add).perplexity();
      assertThat(perplexity).isEqualTo(Perplexity.of(whole, windows, all -> {}).perplexity());
      assertThat(done).isSorted().hasSizeGreaterThan(2).last().isEqualTo(WINDOWS);
      done.clear();
      Divergence divergence = Divergence.of(whole, blocks, windows, done::add);
      assertThat(divergence.kl().mean()).isZero();
      assertThat(divergence.topOneAgreement().mean()).isEqualTo(1);
      assertThat(done).isSorted().last().isEqualTo(WINDOWS);
      try (Predictions kept = Predictions.of(blocks, windows.subList(0, 2))) {
        assertThat(kept.divergence(whole)).isZero();
      }
    }
  }

  @Test
  void onlyOneBlockIsInMemory() throws IOException {
    try (Model model = Model.open(SharedFiles.architecture("qwen2"));
        TextModel blocks = load(Loading.BLOCKS, backend, model)) {
      WeightSize size = WeightSize.of(backend, model);
      long before = backend.memory().live();
      try (TextModel whole = load(Loading.WHOLE, backend, model)) {
        assertThat(whole.spec()).isEqualTo(model.spec());
        assertThat(backend.memory().live() - before)
            .isBetween(size.whole(), size.whole() + size.whole() / 20);
      }
      assertThat(backend.memory().live()).isZero();
      try (TextModel.Reading reading = blocks.read(List.of(windows(model)), done -> {})) {
        long held = size.ends() + (long) WINDOWS * LENGTH * model.spec().hidden() * Float.BYTES;
        long ropes = 1 << 17;
        assertThat(size.block()).isGreaterThan(ropes);
        assertThat(backend.memory().live()).isBetween(held, held + ropes);
        assertThat(reading.next().losses()).hasSize(WINDOWS * LENGTH);
      }
    }
  }

  @Test
  void whatDoesNotFitWholeIsReadByBlocks() throws IOException {
    try (Model model = Model.open(SharedFiles.architecture("qwen2"))) {
      WeightSize size = WeightSize.of(backend, model);
      List<WeightSize> two = List.of(size, size);
      ImmutableList<int[]> windows = windows(model);
      long room = 2 * size.whole() + size.batch(windows);
      assertThat(Loading.AUTO.resolve(two, windows, room, "it")).isEqualTo(Loading.WHOLE);
      assertThat(Loading.AUTO.resolve(two, windows, room - 1, "it")).isEqualTo(Loading.BLOCKS);
      assertThat(Loading.WHOLE.resolve(two, windows, 0, "it")).isEqualTo(Loading.WHOLE);
      assertThat(Loading.BLOCKS.resolve(two, windows, room, "it")).isEqualTo(Loading.BLOCKS);
      assertThatThrownBy(() -> Loading.AUTO.resolve(two, windows, 1 << 20, "it"))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessageContaining(WINDOWS + " windows")
          .hasMessageContaining("it has room for 1 MiB; measure fewer with --windows");
      List<String> notes = new ArrayList<>();
      assertThat(Loading.AUTO.resolve(backend, List.of(model), windows, notes::add))
          .isEqualTo(Loading.WHOLE);
      assertThat(notes).isEmpty();
    }
  }
}
