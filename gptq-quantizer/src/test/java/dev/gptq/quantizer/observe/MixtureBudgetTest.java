package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is expected of a model with experts. */
final class MixtureBudgetTest {
  @TempDir private Path folder;

  /** All experts of a block are one unit, in which each counts for the tokens that chose it. */
  @Test
  void moreBitsDivergeLess() throws IOException {
    try (Backend backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
        Model model =
            Model.open(
                RandomCheckpoint.write(folder.resolve("m"), TinyConfigs.json("mixtral"), 1))) {
      SplittableRandom random = new SplittableRandom(5);
      ImmutableList<int[]> windows =
          IntStream.range(0, 8)
              .mapToObj(i -> random.ints(16, 0, model.spec().vocabulary()).toArray())
              .collect(ImmutableList.toImmutableList());
      List<Unit> units = Unit.of(model.spec(), name -> true);
      List<ImmutableList<ExpectedDivergence.Setting>> settings =
          new ExpectedDivergence(
                  backend,
                  model.spec(),
                  model.weights(backend),
                  QuantizationSettings.of(
                      Method.GPTQ, GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 3), 32)),
                  ImmutableList.of(3, 4, 8),
                  BorderPlace.DEVICE)
              .of(windows);
      assertThat(units).hasSameSizeAs(settings).anyMatch(Unit::experts);
      for (ImmutableList<ExpectedDivergence.Setting> unit : settings) {
        double least = unit.getFirst().divergence();
        double most = unit.getLast().divergence();
        assertThat(most).isPositive();
        // From 7 to 255 steps in a range.
        assertThat(least / most).isBetween(600.0, 3000.0);
      }
      assertThat(backend.memory().live()).isZero();
    }
  }
}
