package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Locale;
import org.junit.jupiter.api.Test;

/** Rates and the time that is left. */
final class MeterTest {
  private static final long SECOND = 1_000_000_000L;
  private final Recorder recorder = new Recorder();
  private long now;

  @Test
  void theRateIsThatOfTheLastSeconds() {
    Meter meter = new Meter(recorder, () -> now, 100_000);
    meter.skip(20_000);
    for (int i = 0; i < 20; i++) {
      now += SECOND;
      meter.add(1_000);
    }
    TransferProgress last = recorder.progress.getLast();
    assertThat(last.done()).isEqualTo(40_000);
    assertThat(last.bytesPerSecond()).isCloseTo(1_000, within(1e-6));
    assertThat(last.secondsLeft()).isCloseTo(60, within(1e-6));
    for (int i = 0; i < 20; i++) {
      now += SECOND;
      meter.add(2_000);
    }
    assertThat(recorder.progress.getLast().bytesPerSecond()).isCloseTo(2_000, within(1e-6));
  }

  @Test
  void listenersAreNotOverrun() {
    Meter meter = new Meter(recorder, () -> now, 1_000);
    for (int i = 0; i < 1_000; i++) {
      now += SECOND / 1_000;
      meter.add(1);
    }
    assertThat(recorder.progress).hasSizeBetween(4, 7);
    assertThat(recorder.progress.getLast().done()).isEqualTo(1_000);
  }

  @Test
  void whatSeveralThreadsSayAtOnceIsSaidOnce() {
    Meter meter = new Meter(recorder, () -> now, 1);
    meter.note("a");
    meter.note("a");
    meter.note("b");
    now += 2 * SECOND;
    meter.note("b");
    assertThat(recorder.notes).containsExactly("a", "b", "b");
  }

  @Test
  void amountsAreRead() {
    Locale before = Locale.getDefault();
    Locale.setDefault(Locale.GERMANY);
    try {
      assertThat(new TransferProgress(3_240_000_000L, 16_060_000_000L, 87_000_000, 1).amounts())
          .isEqualTo("3.2 GB of 16.1 GB, 87.0 MB/s");
      assertThat(Text.size(999)).isEqualTo("999 B");
      assertThat(Text.size(999_960)).isEqualTo("1.0 MB");
    } finally {
      Locale.setDefault(before);
    }
  }
}
