package dev.gptq.quantizer.study;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.text.EvaluationText;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.run.Calibration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/**
 * No setting makes GPTQ worse than rounding to nearest on text that it has not seen, however little
 * text it has seen. A few settings; {@code -Dgptq.test.grid=true} takes all of a grid, which a core
 * works at for the better part of an hour.
 */
final class HeldOutTest {
  private static final Path ROOT = Path.of(System.getProperty("gptq.root"));
  private static final Path TEXTS = ROOT.resolve("examples/text");
  private static final boolean ALL = Boolean.getBoolean("gptq.test.grid");

  /** What a mean over the tokens measured here may differ by chance. */
  private static final double NOISE = 1.02;

  /** A preset, perhaps in another order, of a grid. */
  private record Setting(GptqOptions grid, Quality quality, Optional<ColumnOrder> order) {
    Comparison.Row solved() {
      GptqOptions options = quality.apply(grid);
      return new Comparison.Row(
          Method.GPTQ,
          order.map(options::withOrder).orElse(options),
          quality.target(),
          quality.curvature(),
          true);
    }

    Comparison.Row rounded() {
      return new Comparison.Row(
          Method.RTN,
          grid.withGrid(grid.grid().withSearch(quality.search())),
          Target.PLAIN,
          Curvature.INPUTS,
          true);
    }
  }

  @Test
  void gptqIsNoWorseThanRoundingHoweverFewTheTokens() throws IOException {
    List<String> worse = new ArrayList<>();
    try (Backend backend = Backends.open(Backends.AUTO, BackendOptions.defaults(), refused -> {});
        Model model = Model.open(ROOT.resolve("examples/tiny"))) {
      ImmutableList<int[]> heldOut =
          EvaluationText.of(TEXTS.resolve("demo-evaluation.txt"))
              .withLength(128)
              .withLimit(ALL ? 16 : 6)
              .windows(model, note -> {});
      // Rounding looks at no text.
      Map<Comparison.Row, Double> rounded = new HashMap<>();
      for (int samples : ALL ? new int[] {1, 4, 16, 64} : new int[] {1}) {
        ImmutableList<ImmutableList<int[]>> calibration =
            Calibration.of(TEXTS.resolve("demo-calibration.txt"))
                .withSamples(samples)
                .withLength(64)
                .draws(model, samples, 1, note -> {});
        Comparison comparison =
            new Comparison(
                model, backend, calibration, heldOut, true, Loading.WHOLE, MeasuringListener.NONE);
        for (Setting setting : settings()) {
          double simple = rounded.computeIfAbsent(setting.rounded(), row -> kl(comparison, row));
          double solved = kl(comparison, setting.solved());
          if (solved > NOISE * simple) {
            worse.add(
                "%d tokens, %s: KL %.4f, rounded %.4f"
                    .formatted(64 * samples, setting, solved, simple));
          }
        }
      }
    }
    assertThat(worse).isEmpty();
  }

  private static List<Setting> settings() {
    List<Setting> all = new ArrayList<>();
    for (int bits : ALL ? new int[] {2, 3, 4, 8} : new int[] {3}) {
      for (int group : ALL ? new int[] {32, 128, GptqOptions.PER_ROW} : new int[] {64}) {
        for (Scheme scheme : List.of(Scheme.SYMMETRIC, Scheme.ASYMMETRIC)) {
          GptqOptions grid = GptqOptions.of(GridSpec.of(scheme, bits), group);
          all.add(new Setting(grid, Quality.STANDARD, Optional.empty()));
          if (ALL) {
            all.add(new Setting(grid, Quality.FAST, Optional.empty()));
            all.add(new Setting(grid, Quality.BEST, Optional.empty()));
            all.add(new Setting(grid, Quality.STANDARD, Optional.of(ColumnOrder.NATURAL)));
            all.add(new Setting(grid, Quality.STANDARD, Optional.of(ColumnOrder.ACTIVATION)));
          }
        }
      }
    }
    return all;
  }

  private static double kl(Comparison comparison, Comparison.Row row) {
    return comparison.measure(List.of(row)).getFirst().kl().orElseThrow().mean();
  }
}
