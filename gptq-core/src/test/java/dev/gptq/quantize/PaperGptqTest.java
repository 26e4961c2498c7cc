package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

/** The worked examples that the conformance kit runs on backends too. */
final class PaperGptqTest {
  /** {@code [[.42, −.02], [−.02, .76]]⁻¹ = [[1900, 50], [50, 1050]]/797}. */
  private static final double[][] INVERSE_OF_TWO = {
    {1900.0 / 797, 50.0 / 797}, {50.0 / 797, 1050.0 / 797}
  };

  @Test
  void factorOfTheInverse() {
    double[][] u = PaperGptq.factor(INVERSE_OF_TWO);
    assertThat(u[0][0]).isCloseTo(1.544001222, within(1e-9));
    assertThat(u[0][1]).isCloseTo(0.040631611, within(1e-9));
    assertThat(u[1][0]).isZero();
    assertThat(u[1][1]).isCloseTo(1.147078669, within(1e-9));
  }

  @Test
  void workedExampleOfTwoColumns() {
    double[][] u = PaperGptq.factor(INVERSE_OF_TWO);
    PaperGptq.Row first =
        PaperGptq.quantize(new double[] {0.8, -0.5}, u, (j, w) -> w[j] < 0 ? -1 : 1);
    PaperGptq.Row second =
        PaperGptq.quantize(new double[] {0.3, 0.7}, u, (j, w) -> w[j] < 0 ? -1 : 1);
    assertThat(first.values().toArray()).containsExactly(1, -1);
    assertThat(second.values().toArray()).containsExactly(1, 1);
    assertThat(first.loss() + second.loss()).isCloseTo(0.2383, within(1e-12));
  }
}
