package dev.gptq.quantizer.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Ints;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class TuningTest {
  private static TuningText text(int windows) {
    return TuningText.of(IntStream.range(0, windows).mapToObj(i -> new int[] {i}).toList());
  }

  private static List<Integer> ids(List<int[]> windows) {
    return windows.stream().map(window -> window[0]).toList();
  }

  @Test
  void aTenthOfTheWindowsIsHeldOut() {
    assertThat(ids(text(30).heldOut())).containsExactly(9, 19, 29);
    assertThat(text(30).training()).hasSize(27);
    assertThat(ids(text(3).heldOut())).containsExactly(2);
    assertThatThrownBy(() -> text(1)).hasMessageContaining("at least two");
  }

  /** Of 90 windows, those of 10 steps with 8 windows each are not enough for one more. */
  @Test
  void enoughWindowsAreThoseOfAllSteps() {
    int windows = TuningText.enough(Tuning.of(10));
    assertThat(text(windows).training()).hasSizeGreaterThanOrEqualTo(80);
    assertThat(text(windows - 2).training()).hasSizeLessThan(80);
  }

  @Test
  void stepsFallInALineAndLooksAreAtMostForty() {
    Tuning tuning = new Tuning(1000, 0.004);
    assertThat(tuning.stepSize(0)).isEqualTo(0.004f);
    assertThat(tuning.stepSize(500)).isEqualTo(0.002f);
    assertThat(tuning.stepsOfLook()).isEqualTo(25);
    assertThat(Tuning.of(3).stepsOfLook()).isEqualTo(1);
    assertThatThrownBy(() -> new Tuning(0, 0.1)).hasMessageContaining("at least 1 step");
    assertThatThrownBy(() -> new Tuning(1, 0)).hasMessageContaining("rate");
  }

  @Test
  void everyWindowIsTakenOnceBeforeAnyIsTakenTwice() {
    WindowOrder order = new WindowOrder(12);
    int[] first = Ints.concat(order.next(8), order.next(4));
    assertThat(first).doesNotHaveDuplicates().hasSize(12);
    int[] second = order.next(12);
    assertThat(second).doesNotHaveDuplicates().isNotEqualTo(first);
    assertThat(new WindowOrder(3).next(8)).hasSize(3);
  }

  @Test
  void linesOfTheLog() {
    assertThat(TuningLog.line(new TuningOutcome.Look(0, Double.NaN, 0.5)))
        .isEqualTo("{\"step\":0,\"held_out_kl\":0.5}");
    assertThat(TuningLog.line(new TuningOutcome.Look(25, 0.25, 0.125)))
        .isEqualTo("{\"step\":25,\"training_kl\":0.25,\"held_out_kl\":0.125}");
  }
}
