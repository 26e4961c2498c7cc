package dev.gptq.models.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TokenWindowsTest {
  private static final int[] STREAM = IntStream.range(100, 117).toArray();

  private static int[] firsts(ImmutableList<int[]> windows) {
    return windows.stream().mapToInt(w -> w[0] - 100).toArray();
  }

  private static void assertContiguous(ImmutableList<int[]> windows, int length) {
    for (int[] window : windows) {
      assertThat(window)
          .isEqualTo(Arrays.copyOfRange(STREAM, window[0] - 100, window[0] - 100 + length));
    }
  }

  @Test
  void evenWindowsStartAtMultiplesOfTheStep() {
    ImmutableList<int[]> windows = TokenWindows.even(STREAM, 4, 4, IntUnaryOperator.identity());
    assertThat(firsts(windows)).containsExactly(0, 3, 6, 9);
    assertContiguous(windows, 4);
    assertThat(firsts(TokenWindows.even(STREAM, 2, 17, IntUnaryOperator.identity())))
        .containsExactly(0, 0);
  }

  @Test
  void consecutiveWindowsDropTheTail() {
    ImmutableList<int[]> windows = TokenWindows.consecutive(STREAM, 5, OptionalInt.empty());
    assertThat(firsts(windows)).containsExactly(0, 5, 10);
    assertContiguous(windows, 5);
    assertThat(firsts(TokenWindows.consecutive(STREAM, 5, OptionalInt.of(2))))
        .containsExactly(0, 5);
    assertThat(TokenWindows.consecutive(STREAM, 17, OptionalInt.of(9))).hasSize(1);
  }

  @Test
  void randomWindowsDependOnTheSeedAloneAndReachBothEnds() {
    ImmutableList<int[]> windows =
        TokenWindows.random(STREAM, 500, 6, 7, IntUnaryOperator.identity());
    assertContiguous(windows, 6);
    assertThat(firsts(windows))
        .containsExactly(
            firsts(TokenWindows.random(STREAM, 500, 6, 7, IntUnaryOperator.identity())));
    assertThat(firsts(windows))
        .isNotEqualTo(firsts(TokenWindows.random(STREAM, 500, 6, 8, IntUnaryOperator.identity())));
    assertThat(firsts(windows)).contains(IntStream.rangeClosed(0, 11).toArray());
  }

  @Test
  void tooShortATextSaysHowManyTokensThereAre() {
    assertThatThrownBy(() -> TokenWindows.even(STREAM, 4, 18, IntUnaryOperator.identity()))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("17 tokens")
        .hasMessageContaining("18")
        .hasMessageContaining("longer text");
    assertThatThrownBy(() -> TokenWindows.random(STREAM, 4, 18, 0, IntUnaryOperator.identity()))
        .isInstanceOf(BadInputException.class);
    assertThatThrownBy(() -> TokenWindows.consecutive(STREAM, 18, OptionalInt.empty()))
        .isInstanceOf(BadInputException.class);
  }
}
