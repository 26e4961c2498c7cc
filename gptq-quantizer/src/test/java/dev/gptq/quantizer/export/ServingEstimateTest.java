package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.family.RandomCheckpoint;
import dev.gptq.models.family.TinyConfigs;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What engines will need, beside arithmetic by hand: two blocks of 32 features in float32. */
final class ServingEstimateTest {
  private static final long HEAD = 96 * 32;
  private static final long ATTENTION = 2 * 32 * 32 + 2 * 16 * 32;
  private static final long NORMS = 2 * 32;

  @TempDir private Path folder;

  private ServingEstimate of(String family) throws IOException {
    Path written = RandomCheckpoint.write(folder.resolve(family), TinyConfigs.json(family), 3);
    try (Model model = Model.open(written)) {
      ServingEstimate estimate = ServingEstimate.of(model);
      assertThat(estimate.weights()).isEqualTo(model.checkpoint().totalBytes());
      return estimate;
    }
  }

  @Test
  void aTokenReadsTheExpertsItChoosesAndTheHead() throws IOException {
    ServingEstimate estimate = of("mixtral");
    long chosen = 2 * 3 * 64 * 32;
    long router = 4 * 32;
    assertThat(estimate.read()).isEqualTo(4 * (HEAD + 2 * (ATTENTION + NORMS + router + chosen)));
    assertThat(estimate.weights())
        .as("and all experts lie in memory")
        .isGreaterThan(estimate.read());
    assertThat(estimate.cache(20)).as("two key-value heads of 8").isEqualTo(2 * 20 * 2 * 16 * 2);
    assertThat(estimate.tokensPerSecond(Machine.H100, 20))
        .isEqualTo(3350e9 / (estimate.read() + estimate.cache(20)));
  }

  @Test
  void aWindowBoundsTheCacheAndLatentsAreSmall() throws IOException {
    assertThat(of("mistral").cache(20)).isEqualTo(2 * 8 * 2 * 16 * 2);
    assertThat(of("deepseek").cache(20)).isEqualTo(2 * 20 * (16 + 8) * 2);
  }

  @Test
  void memoryHasRoomForWeightsAndCache() {
    long gigabyte = 1L << 30;
    ServingEstimate small = new ServingEstimate(21 * gigabyte, 1, ImmutableList.of());
    assertThat(small.fits(Machine.RTX_4090, 1)).isTrue();
    ServingEstimate large =
        new ServingEstimate(
            21 * gigabyte, 1, ImmutableList.of(new ServingEstimate.Cache(gigabyte, 4)));
    assertThat(large.fits(Machine.RTX_4090, 1))
        .as("22 of 24, of which a tenth is left free")
        .isFalse();
    assertThat(large.fits(Machine.A100, 1_000_000)).isTrue();
  }
}
