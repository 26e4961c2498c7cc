package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class ColumnOrderTest {
  private static final float[] DIAGONAL = {1, 5, 3, 3, 9, 2, 5, 0.5f};

  @Test
  void natural() {
    assertThat(ColumnOrder.NATURAL.of(DIAGONAL, 4)).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
  }

  /** Descending; equal ones as they were. */
  @Test
  void activation() {
    assertThat(ColumnOrder.ACTIVATION.of(DIAGONAL, 4)).containsExactly(4, 1, 6, 2, 3, 5, 0, 7);
    assertThat(ColumnOrder.ACTIVATION.of(new float[] {2, 2, 2}, 3)).containsExactly(0, 1, 2);
  }

  /** Groups stay together: sorted inside, and by their largest. */
  @Test
  void groupAware() {
    assertThat(ColumnOrder.GROUP_AWARE.of(DIAGONAL, 4)).containsExactly(4, 6, 5, 7, 1, 2, 3, 0);
    assertThat(ColumnOrder.GROUP_AWARE.of(DIAGONAL, 2)).containsExactly(4, 5, 1, 0, 6, 7, 2, 3);
    assertThat(ColumnOrder.GROUP_AWARE.of(DIAGONAL, 8))
        .isEqualTo(ColumnOrder.ACTIVATION.of(DIAGONAL, 8));
  }
}
