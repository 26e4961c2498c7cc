package dev.gptq.cli.report.chart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

final class AxisTest {
  @Test
  void linearTicksAreRoundNumbers() {
    Axis axis = Axis.linear(0, 61_400);
    assertThat(axis.ticks()).containsExactly(0.0, 20_000.0, 40_000.0, 60_000.0);
    assertThat(axis.at(30_700)).isEqualTo(0.5);
    assertThat(Axis.linear(-0.3, 0.4).ticks())
        .hasSize(4)
        .first()
        .satisfies(tick -> assertThat(tick).isCloseTo(-0.2, within(1e-12)));
  }

  @Test
  void logarithmicTicksArePowersOfTen() {
    Axis axis = Axis.logarithmic(2e-5, 0.3);
    assertThat(axis.ticks()).hasSize(4);
    assertThat(axis.at(Math.sqrt(2e-5 * 0.3))).isCloseTo(0.5, within(1e-12));
    assertThat(Axis.logarithmic(1.5, 30).ticks()).containsExactly(2.0, 5.0, 10.0, 20.0);
  }

  @Test
  void oneValueStillHasAnAxis() {
    assertThat(Axis.linear(0, 0).at(0)).isZero();
    assertThat(Axis.logarithmic(3, 3).at(3)).isZero();
  }

  @Test
  void labels() {
    assertThat(Axis.label(0)).isEqualTo("0");
    assertThat(Axis.label(0.30000000000000004)).isEqualTo("0.3");
    assertThat(Axis.label(20_000)).isEqualTo("20000");
    assertThat(Axis.label(1e-5)).isEqualTo("1e-5");
    assertThat(Axis.label(2e12)).isEqualTo("2e12");
  }
}
