package dev.gptq.quantizer.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
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

  /** Looks at the held-out windows would otherwise take longer than steps. */
  @Test
  void sixtyFourWindowsAreHeldOutAtMost() {
    int windows = TuningText.enough(Tuning.of(1000));
    assertThat(windows).isEqualTo(8064);
    assertThat(text(windows).heldOut()).hasSize(64);
    assertThat(text(windows).training()).hasSize(8000);
    assertThat(text(641).heldOut()).hasSizeBetween(57, 64);
  }

  /** Of 90 windows, those of 10 steps with 8 windows each are not enough for one more. */
  @Test
  void enoughWindowsAreThoseOfAllSteps() {
    int windows = TuningText.enough(Tuning.of(10));
    assertThat(text(windows).training()).hasSizeGreaterThanOrEqualTo(80);
    assertThat(text(windows - 2).training()).hasSizeLessThan(80);
  }

  private static TuningOutcome.Look look(int step, double training, double heldOut) {
    return new TuningOutcome.Look(step, training, heldOut);
  }

  private static TuningOutcome.Look look(int step, double heldOut) {
    return look(step, 0.5, heldOut);
  }

  @Test
  void stepsFallAlongACosineAndLooksAreAtMostForty() {
    Tuning tuning = Tuning.of(1000, 0.004);
    Course course = new Course(tuning, 0.004);
    assertThat(course.stepSize(0)).isEqualTo(0.004f);
    assertThat(course.stepSize(500)).isEqualTo(0.002f);
    assertThat(course.stepSize(750)).isEqualTo((float) (0.004 * (1 - Math.sqrt(0.5)) / 2));
    assertThat(course.isOver(999)).isFalse();
    assertThat(course.isOver(1000)).isTrue();
    assertThat(tuning.stepsOfLook()).isEqualTo(25);
    assertThat(Tuning.of(3).stepsOfLook()).isEqualTo(1);
    assertThatThrownBy(() -> Tuning.of(0, 0.1)).hasMessageContaining("at least 1 step");
    assertThatThrownBy(() -> Tuning.of(1, 0)).hasMessageContaining("rate");
  }

  /** Eleven looks of which the first is the best, and the same once more from what was kept. */
  @Test
  void whereNothingIsGainedTheRateFallsInAQuarterOfTheSteps() {
    Tuning tuning = Tuning.of(1000, 0.004);
    Course course = new Course(tuning, 0.004);
    assertThat(course.add(look(0, 1))).isTrue();
    for (int i = 1; i < Tuning.PATIENCE; i++) {
      assertThat(course.add(look(25 * i, 1))).isFalse();
    }
    assertThat(course.isOver(500)).isFalse();
    course.add(look(250, 1));
    assertThat(course.isOver(499)).isFalse();
    assertThat(course.isOver(500)).isTrue();
    assertThat(course.isLook(500)).isTrue();
    assertThat(course.stepSize(250)).isEqualTo((float) (0.004 * (1 + Math.sqrt(0.5)) / 2));
    // A third of what is left of the curve: from a quarter to a half.
    assertThat(course.stepSize(250 + 250 / 3)).isCloseTo(0.002f, within(2e-5f));
    MemorySegment bytes = MemorySegment.ofArray(new byte[(int) course.numbers().byteSize()]);
    course.numbers().copyTo(0, 12, bytes);
    Course.Numbers numbers = Course.numbers(11);
    numbers.fill(0, 12, bytes);
    Course again = numbers.course(tuning);
    assertThat(again.looks()).isEqualTo(course.looks());
    assertThat(again.rate()).isEqualTo(0.004);
    assertThat(again.stepSize(300)).isEqualTo(course.stepSize(300));
    assertThat(again.isOver(500)).isTrue();
  }

  /** Of 27 windows of one token; three steps read none of them twice. */
  @Test
  void theModelWritesATokenForEvery25WeightsAndLittleOfWhatIsRead() {
    assertThat(text(30).writtenFor(Tuning.of(3), 0).written()).isZero();
    assertThat(text(30).writtenFor(Tuning.of(4), 0).written()).as("32 - 27").isEqualTo(5);
    assertThat(text(30).writtenFor(Tuning.of(100), 0).written()).as("800 / 4").isEqualTo(200);
    assertThat(text(30).writtenFor(Tuning.of(1000), 0).written()).isEqualTo(512);
    assertThat(text(30).writtenFor(Tuning.of(1000), 25_000).written()).isEqualTo(1000);
    assertThat(text(30).writtenFor(Tuning.of(1000), 1_000_000).written()).isEqualTo(2000);
    assertThat(text(30).writtenFor(Tuning.of(3).withWritten(7), 0).written()).isEqualTo(7);
    assertThat(text(30).writtenFor(Tuning.of(1000).withWritten(0), 0).written()).isZero();
    assertThatThrownBy(() -> Tuning.of(3).withWritten(-1)).hasMessageContaining("not -1");
  }

  @Test
  void blocksAreTunedInAFifthOfTheSteps() {
    assertThat(Tuning.of(1000).stepsOfBlock()).isEqualTo(200);
    assertThat(Tuning.of(4).stepsOfBlock()).isZero();
    assertThat(Tuning.of(4).withBlocks(7).withWritten(1).trial(0.1).stepsOfBlock()).isEqualTo(7);
    assertThatThrownBy(() -> Tuning.of(3).withBlocks(-1)).hasMessageContaining("not -1");
  }

  /** Eight windows a step: four readings of a hundred windows take 50 steps. */
  @Test
  void gradientsAreAveragedWhereTheTextIsReadAFewTimesOnly() {
    ImmutableList<int[]> windows = ImmutableList.copyOf(Collections.nCopies(100, new int[4]));
    TuningText text = new TuningText(windows, windows, 200, Optional.empty());
    assertThat(Tuning.of(49).momentum(text)).isEqualTo(0.9);
    assertThat(Tuning.of(50).momentum(text)).isZero();
    Tuning given =
        new Tuning(
            9,
            OptionalDouble.empty(),
            OptionalDouble.of(0.5),
            OptionalInt.empty(),
            false,
            OptionalInt.empty());
    assertThat(given.momentum(text)).isEqualTo(0.5);
    assertThat(given.trial(0.1).momentum(text)).isEqualTo(0.5);
    assertThatThrownBy(() ->
            new Tuning(
                9,
                OptionalDouble.empty(),
                OptionalDouble.of(1),
                OptionalInt.empty(),
                false,
                OptionalInt.empty()))
        .hasMessageContaining("momentum");
  }

  /** Worse than before the first step, but better with every look. */
  @Test
  void stepsThatAreOnTheirWayBackAreNotInVain() {
    Course course = new Course(Tuning.of(1000, 0.004), 0.004);
    course.add(look(0, 1));
    for (int i = 1; i <= 3 * Tuning.PATIENCE; i++) {
      assertThat(course.add(look(25 * i, 2 - 0.01 * i))).isFalse();
    }
    assertThat(course.isOver(999)).isFalse();
  }

  /** Where the rate has nearly fallen already, there is nothing to hasten. */
  @Test
  void theLastQuarterIsNotCutShort() {
    Course course = new Course(Tuning.of(1000, 0.004), 0.004);
    course.add(look(600, 1));
    for (int i = 1; i <= Tuning.PATIENCE; i++) {
      course.add(look(600 + 25 * i, 1));
    }
    assertThat(course.isOver(999)).isFalse();
  }

  /** A difference of one in every window is none of chance; one that changes its sign is. */
  @Test
  void anotherRateIsTakenWhereItIsCloserBeyondChance() {
    double[] usual = {5, 9, 4, 7};
    RateTrials trials = new RateTrials();
    trials.add(0.3, usual);
    assertThat(trials.chosen()).isEqualTo(0.3);
    trials.add(0.2, new double[] {6, 5, 5, 6});
    assertThat(trials.chosen()).as("0.75 less on average, with an error of 1.2").isEqualTo(0.3);
    trials.add(0.1, new double[] {4, 8, 3.5, 6});
    assertThat(trials.chosen()).isEqualTo(0.1);
    trials.add(0.05, new double[] {4.5, 8.5, 3.5, 6.5});
    assertThat(trials.chosen()).as("closer than the first, not than the best").isEqualTo(0.1);
    assertThat(RateTrials.isCloser(new double[] {1}, new double[] {2})).isFalse();
    assertThat(RateTrials.isCloser(usual, usual)).isFalse();
  }

  @Test
  void everyWindowIsTakenOnceBeforeAnyIsTakenTwice() {
    WindowOrder order = new WindowOrder(12);
    int[] first = Ints.concat(order.next(8), order.next(4));
    assertThat(first).doesNotHaveDuplicates().hasSize(12);
    int[] second = order.next(12);
    WindowOrder skipped = new WindowOrder(12);
    skipped.skip(2, 6);
    assertThat(skipped.next(12)).isEqualTo(second);
    assertThat(second).doesNotHaveDuplicates().isNotEqualTo(first);
    assertThat(new WindowOrder(3).next(8)).hasSize(3);
  }

  @Test
  void linesOfTheLog() {
    ImmutableList<TuningOutcome.Look> looks =
        ImmutableList.of(look(0, Double.NaN, 0.5), look(25, 0.25, 0.125));
    assertThat(TuningLog.lines(new TuningOutcome(0.1, looks, 7, 3, 2, 1)))
        .containsExactly(
            "{\"step\":0,\"held_out_kl\":0.5,\"written_windows\":3}",
            "{\"step\":25,\"training_kl\":0.25,\"held_out_kl\":0.125}");
    assertThat(TuningLog.lines(new TuningOutcome(0.1, looks, 7, 0, 2, 1)))
        .contains("{\"step\":0,\"held_out_kl\":0.5}");
  }
}
