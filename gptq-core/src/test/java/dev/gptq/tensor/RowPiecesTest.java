package dev.gptq.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class RowPiecesTest {
  @ParameterizedTest
  @CsvSource({
    "0, 7, 1",
    "5, 7, 5",
    "7, 7, 7",
    "100, 7, 7",
    "255, 1000, 255",
    "256, 1000, 256",
    "511, 1000, 256",
    "10922, 12288, 10752",
    "4294967296, 300, 300",
    "10, 0, 1",
  })
  void areWholeTilesWhereTheyFit(long fitting, int rows, int expected) {
    assertThat(RowPieces.of(fitting, rows)).isEqualTo(expected);
  }
}
