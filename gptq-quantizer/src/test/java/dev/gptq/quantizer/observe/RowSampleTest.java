package dev.gptq.quantizer.observe;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What stands for the rows of a matrix. */
final class RowSampleTest {
  @Test
  void fewRowsStandForThemselves() {
    RowSample sample = RowSample.of(new float[] {4, 0, 2}, 5);
    assertThat(sample.rows()).containsExactly(0, 1, 2);
    assertThat(IntStream.range(0, sample.size()).mapToDouble(sample::square))
        .containsExactly(4.0, 0.0, 2.0);
  }

  @Test
  void manyRowsAreMetOnceAStretchAndCountTogether() {
    float[] squares = new float[1000];
    for (int r = 0; r < squares.length; r++) {
      squares[r] = r % 7;
    }
    RowSample sample = RowSample.of(squares, 64);
    assertThat(sample.rows()).hasSize(64).isSorted();
    double sum = 0;
    for (int i = 0; i < sample.size(); i++) {
      assertThat(sample.rows()[i]).isBetween(i * 1000 / 64, (i + 1) * 1000 / 64 - 1);
      sum += sample.square(i);
    }
    assertThat(sum).isEqualTo(IntStream.range(0, 1000).map(r -> r % 7).sum());
  }

  /** Heads of as many rows as a stretch has: nearly every place in a head is looked at. */
  @Test
  void rowsThatRepeatAreMetInManyPlaces() {
    int[] rows = RowSample.of(new float[64 * 64], 64).rows();
    assertThat(Arrays.stream(rows).map(r -> r % 64).distinct().count()).isGreaterThan(40);
  }
}
