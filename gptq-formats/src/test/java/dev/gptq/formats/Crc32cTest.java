package dev.gptq.formats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class Crc32cTest {
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 4097, 8 << 20, (8 << 20) + 1, (24 << 20) - 3, 24 << 20})
  void sharesGiveTheChecksumOfAll(int size) throws IOException {
    byte[] bytes = new byte[size];
    new SplittableRandom(size).nextBytes(bytes);
    CRC32C whole = new CRC32C();
    whole.update(bytes);
    assertThat(Crc32c.of(size, (from, to) -> checksum(bytes, from, to)))
        .isEqualTo(whole.getValue());
  }

  private static long checksum(byte[] bytes, long from, long to) {
    CRC32C checksum = new CRC32C();
    checksum.update(bytes, Math.toIntExact(from), Math.toIntExact(to - from));
    return checksum.getValue();
  }

  @Test
  void failuresOfSharesAreThrownAsTheyAre() {
    assertThatThrownBy(() ->
            Crc32c.of(
                64 << 20,
                (from, to) -> {
                  throw new IOException("disk full");
                }))
        .isExactlyInstanceOf(IOException.class)
        .hasMessage("disk full");
  }
}
