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
import dev.gptq.quantizer.run.Calibration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * No setting makes GPTQ worse than rounding to nearest on text that it has not seen, however little
 * text it has seen. A few settings; {@code -Dgptq.test.grid=true} takes all of a grid.
 */
final class HeldOutTest {
  private static final Path ROOT = Path.of(System.getProperty("gptq.root"));
  private static final Path TEXTS = ROOT.resolve("examples/text");
  private static final boolean ALL = Boolean.getBoolean("gptq.test.grid");

  /** What a mean over the tokens measured here may differ by chance. */
  private static final double NOISE = 1.02;

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
      for (int samples : ALL ? new int[] {1, 2, 4, 8, 16, 64} : new int[] {1}) {
        ImmutableList<ImmutableList<int[]>> calibration =
            Calibration.of(TEXTS.resolve("demo-calibration.txt"))
                .withSamples(samples)
                .withLength(64)
                .draws(model, samples, 1, note -> {});
        Comparison comparison =
            new Comparison(
                model, backend, calibration, heldOut, true, Loading.WHOLE, MeasuringListener.NONE);
        for (GptqOptions options : settings()) {
          double rounded = kl(comparison, Method.RTN, options);
          double solved = kl(comparison, Method.GPTQ, options);
          if (solved > NOISE * rounded) {
            worse.add(
                "%d tokens, %s: KL %.4f, rounded %.4f"
                    .formatted(64 * samples, options, solved, rounded));
          }
        }
      }
    }
    assertThat(worse).isEmpty();
  }

  private static List<GptqOptions> settings() {
    List<GptqOptions> all = new ArrayList<>();
    for (int bits : ALL ? new int[] {2, 3, 4, 8} : new int[] {3}) {
      for (int group : ALL ? new int[] {32, 128, GptqOptions.PER_ROW} : new int[] {64}) {
        for (Scheme scheme : List.of(Scheme.SYMMETRIC, Scheme.ASYMMETRIC)) {
          for (Quality quality : ALL ? Quality.values() : new Quality[] {Quality.STANDARD}) {
            for (ColumnOrder order : ALL ? ColumnOrder.values() : new ColumnOrder[0]) {
              all.add(
                  quality.apply(GptqOptions.of(GridSpec.of(scheme, bits), group)).withOrder(order));
            }
            if (!ALL) {
              all.add(quality.apply(GptqOptions.of(GridSpec.of(scheme, bits), group)));
            }
          }
        }
      }
    }
    return all;
  }

  private static double kl(Comparison comparison, Method method, GptqOptions options) {
    return comparison
        .measure(
            List.of(
                new Comparison.Row(
                    method, options, Quality.STANDARD.target(), Curvature.INPUTS, true)))
        .getFirst()
        .kl()
        .orElseThrow()
        .mean();
  }
}
