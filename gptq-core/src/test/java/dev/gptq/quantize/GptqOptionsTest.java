package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import org.junit.jupiter.api.Test;

final class GptqOptionsTest {
  private static final GptqOptions DEFAULTS =
      GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), 128);

  @Test
  void defaultsAreThoseOfThePaper() {
    assertThat(DEFAULTS.damping()).isEqualTo(0.01);
    assertThat(DEFAULTS.blockSize()).isEqualTo(128);
    assertThat(DEFAULTS.order()).isEqualTo(ColumnOrder.NATURAL);
    assertThat(DEFAULTS.staticGroups()).isFalse();
    assertThat(DEFAULTS.statistics()).isEqualTo(GroupStatistics.CURRENT);
  }

  @Test
  void rangesAreChecked() {
    GridSpec grid = DEFAULTS.grid();
    for (int group : new int[] {0, -2}) {
      assertThatThrownBy(() -> GptqOptions.of(grid, group))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("group size must be positive");
    }
    for (double damping : new double[] {-0.1, 1.1, Double.NaN}) {
      assertThatThrownBy(() -> DEFAULTS.withDamping(damping))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("damping");
    }
    assertThatThrownBy(() -> DEFAULTS.withBlockSize(0))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /** Reference statistics are those of the last finished block, so borders must agree. */
  @Test
  void referenceStatisticsNeedCommonBorders() {
    assertThat(DEFAULTS.withStatistics(GroupStatistics.REFERENCE).withBlockSize(64).blockSize())
        .isEqualTo(64);
    assertThatThrownBy(() -> DEFAULTS.withBlockSize(96).withStatistics(GroupStatistics.REFERENCE))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("one divides the other");
  }

  @Test
  void groupsDivideTheColumns() {
    assertThat(DEFAULTS.groupColumns(512)).isEqualTo(128);
    assertThat(GptqOptions.of(DEFAULTS.grid(), GptqOptions.PER_ROW).groupColumns(77)).isEqualTo(77);
    assertThatThrownBy(() -> DEFAULTS.groupColumns(200))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("group size 128 does not divide 200 columns");
  }
}
