package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Flipped bits, cut tails and transplanted bytes give a readable checkpoint or a clear error. */
class CheckpointFuzzTest {
  private static final int TRIALS = 2000;

  @TempDir Path folder;

  @Test
  void damagedFilesNeverSurprise() {
    Assertions.assertTimeout(Duration.ofMinutes(2), this::damageAndRead);
  }

  private void damageAndRead() throws IOException {
    byte[] valid = RawFile.bytes(RawFile.TWO_TENSORS, 6);
    Path file = folder.resolve("model.safetensors");
    int refused = 0;
    for (int seed = 0; seed < TRIALS; seed++) {
      Files.write(file, damaged(valid, new SplittableRandom(seed)));
      refused += read(seed) ? 0 : 1;
    }
    assertThat(refused).as("of %s trials", TRIALS).isBetween(TRIALS / 2, TRIALS - 1);
  }

  private boolean read(int seed) throws IOException {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      for (String name : checkpoint.names()) {
        StoredTensor tensor = checkpoint.require(name);
        assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE))
            .hasSize(Math.toIntExact(tensor.elements() * tensor.type().bytes()));
      }
      return true;
    } catch (BadInputException e) {
      assertThat(e).as("seed %s", seed).hasMessageContaining(folder.toString());
      return false;
    }
  }

  private static byte[] damaged(byte[] valid, SplittableRandom random) {
    byte[] bytes = valid.clone();
    for (int i = random.nextInt(3); i >= 0; i--) {
      int at = random.nextInt(bytes.length);
      switch (random.nextInt(3)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = bytes[random.nextInt(bytes.length)];
        default -> bytes = Arrays.copyOf(bytes, Math.max(1, at));
      }
    }
    return bytes;
  }
}
