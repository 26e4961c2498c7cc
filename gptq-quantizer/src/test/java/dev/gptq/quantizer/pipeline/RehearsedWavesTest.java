package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.Work;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Precision;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class RehearsedWavesTest {
  private static final QuantizationSettings SETTINGS =
      QuantizationSettings.of(Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), 16));

  /** Which of the first experts, two a wave, are rehearsed, and what is counted for all. */
  private static List<Integer> rehearsed(QuantizationSettings settings, long rowsOfLast)
      throws IOException {
    List<Integer> done = new ArrayList<>();
    try (Backend backend = Backends.open("reference", BackendOptions.defaults(), refused -> {});
        Rehearsal rehearsal = backend.rehearsal();
        TensorScope scope = rehearsal.newScope();
        Model model = Model.open(SharedFiles.architecture("qwen3-moe"))) {
      BlockSpec block = model.spec().blocks().getFirst();
      List<Stretch> experts =
          Stretch.of(block.steps()).stream().filter(Stretch::isExpert).limit(4).toList();
      RehearsedWaves waves = new RehearsedWaves(rehearsal, block, settings);
      Tensor x = scope.rowMajor(DType.F32, 4, 4);
      for (int from = 0; from < experts.size(); from += 2) {
        int first = from;
        waves.run(
            experts.subList(from, from + 2),
            gather -> gather.expert() == 3 ? rowsOfLast : 5,
            () -> {
              done.add(first);
              rehearsal.linalg().convert(x, x);
            });
      }
      Work once = rehearsal.work().times(0.5);
      assertThat(once.calls()).isEqualTo(1);
      assertThat(once.moved()).isEqualTo(2.0 * x.byteSize());
    }
    return done;
  }

  @Test
  void aWaveLikeAnotherIsCountedOnly() throws IOException {
    assertThat(rehearsed(SETTINGS, 5)).containsExactly(0);
  }

  @Test
  void aWaveWithOtherRowsIsNotLikeIt() throws IOException {
    assertThat(rehearsed(SETTINGS, 6)).containsExactly(0, 2);
  }

  @Test
  void aWaveThatIsQuantizedInAnotherWayIsNotLikeIt() throws IOException {
    QuantizationSettings some =
        SETTINGS.withPrecisions(
            ImmutableMap.of("model.layers.0.mlp.experts.3.down_proj", new Precision(3, 16)));
    assertThat(rehearsed(some, 5)).containsExactly(0, 2);
  }
}
