package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.cli.report.WeightPlot;
import dev.gptq.models.Model;
import dev.gptq.quantizer.study.ModuleWeights;
import dev.gptq.quantizer.study.WeightDistribution;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WeightDistributionTest {
  private static final String MODULE = "model.layers.2.mlp.up_proj";

  @TempDir private Path folder;

  @Test
  void momentsAreThoseOfTheDefinition() throws IOException {
    try (Model model = Model.open(Cli.TINY)) {
      WeightDistribution distribution = ModuleWeights.of(model, MODULE).distribution(20);
      var tensor = model.checkpoint().require(MODULE + ".weight");
      int n = Math.toIntExact(tensor.elements());
      double[] w = new double[n];
      double mean = 0;
      for (int i = 0; i < n; i++) {
        short half = tensor.data().getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i);
        w[i] = Float.intBitsToFloat(half << 16);
        mean += w[i] / n;
      }
      double second = 0;
      double third = 0;
      for (double x : w) {
        second += Math.pow(x - mean, 2) / n;
        third += Math.pow(x - mean, 3) / n;
      }
      double deviation = Math.sqrt(second);
      long far = 0;
      for (double x : w) {
        far += Math.abs(x - mean) > 4 * deviation ? 1 : 0;
      }
      assertThat(distribution.count()).isEqualTo(n);
      assertThat(distribution.mean()).isCloseTo(mean, within(1e-12));
      assertThat(distribution.deviation()).isCloseTo(deviation, within(1e-12));
      assertThat(distribution.skew()).isCloseTo(third / Math.pow(deviation, 3), within(1e-9));
      assertThat(distribution.outliers()).isEqualTo((double) far / n);
      assertThat(distribution.bins().stream().sum()).isEqualTo(n);
      assertThat(new WeightPlot(distribution).lines())
          .hasSize(22)
          .anyMatch(line -> line.contains("skew"));
    }
  }

  /** The curve has the area of the bars, but for what lies beyond the largest weights. */
  @Test
  void theNormalCurveHasTheAreaOfTheBars() throws IOException {
    try (Model model = Model.open(Cli.TINY)) {
      WeightDistribution distribution = ModuleWeights.of(model, MODULE).distribution(50);
      var chart = new WeightPlot(distribution).chart();
      var bars = chart.series().get(0);
      var curve = chart.series().get(1);
      double width = bars.x().get(1) - bars.x().get(0);
      double step = curve.x().get(1) - curve.x().get(0);
      double area = curve.y().stream().sum() * step;
      assertThat(area / (distribution.count() * width)).isCloseTo(1, within(0.01));
    }
  }

  @Test
  void isDrawn() throws IOException {
    for (String name : new String[] {"weights.png", "weights.svg"}) {
      Path file = folder.resolve(name);
      Cli.Outcome drawn = Cli.run("plot", Cli.TINY, "--weights", MODULE, "--output", file);
      assertThat(drawn.status()).as(drawn.err()).isZero();
      assertThat(file).isNotEmptyFile();
    }
    assertThat(ImageIO.read(folder.resolve("weights.png").toFile()).getWidth()).isEqualTo(640);
    Cli.Outcome refused =
        Cli.run("plot", Cli.TINY, "--weights", MODULE, "--output", "x.png", "--relative");
    assertThat(refused.status()).isEqualTo(2);
  }
}
