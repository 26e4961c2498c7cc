package dev.gptq.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** That a ratio comes out right on a host whose speed drifts. */
@EnabledOnOs(OS.LINUX)
final class PairsTest {
  @Test
  void ratiosOfPairsDoNotDriftWithTheHost() throws IOException {
    double[] speed = {1};
    Pairs.Result result =
        new Pairs(100, 60)
            .measure(
                count -> {
                  speed[0] *= 0.97;
                  return 0.01 * count / speed[0];
                },
                3,
                count -> 0.02 * count / speed[0],
                3);
    assertThat(result.own().length()).isEqualTo(100);
    assertThat(result.ratio().median()).isCloseTo(2 * 0.97, within(1e-9));
    assertThat(result.own().get(99)).isLessThan(0.1 * result.own().get(0));
  }

  @Test
  void stopsInTime() throws IOException {
    Pairs.Result result = new Pairs(1 << 20, 0).measure(_ -> 1, 1, _ -> 1, 1);
    assertThat(result.own().length()).isEqualTo(5);
  }

  /** The interval holds the true median in about 95 of 100 cases. */
  @Test
  void intervalsHoldTheMedian() {
    Random random = new Random(20260101);
    int held = 0;
    for (int i = 0; i < 1000; i++) {
      double[] values = random.doubles(50).map(u -> -Math.log(u)).toArray();
      Pairs.Ratio ratio = Pairs.Ratio.of(values);
      held += ratio.low() <= Math.log(2) && Math.log(2) <= ratio.high() ? 1 : 0;
      assertThat(ratio.median()).isBetween(ratio.low(), ratio.high());
    }
    assertThat(held).isBetween(945, 990);
  }
}
