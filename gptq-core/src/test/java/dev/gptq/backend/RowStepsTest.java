package dev.gptq.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class RowStepsTest {
  @Test
  void areFewAndNear() {
    assertThat(RowSteps.up(0)).isZero();
    assertThat(RowSteps.up(1)).isEqualTo(1);
    assertThat(RowSteps.up(9)).isEqualTo(16);
    assertThat(RowSteps.up(257)).isEqualTo(272);
    assertThat(RowSteps.up(8191)).isEqualTo(8192);
    assertThat(RowSteps.up(151_936)).isEqualTo(152_064);
    assertThat(IntStream.rangeClosed(8, 8192).map(RowSteps::up).distinct()).hasSize(112);
    for (int rows = 0; rows < 20_000; rows++) {
      int up = RowSteps.up(rows);
      assertThat(up).isBetween(rows, rows + Math.max(7, rows / 16));
      assertThat(RowSteps.up(up)).isEqualTo(up);
    }
  }
}
