package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SecondLevelCacheTest {
  @TempDir private Path caches;

  private void cache(int index, String level, String size) throws IOException {
    Path folder = Files.createDirectories(caches.resolve("index" + index));
    Files.writeString(folder.resolve("level"), level + "\n");
    Files.writeString(folder.resolve("size"), size + "\n");
  }

  @ParameterizedTest
  @CsvSource({
    "2048K, 2097152",
    "512K, 524288",
    "1K, 262144",
    "999999K, 4194304",
    "2M, 1048576",
    "'', 1048576",
    "-5K, 1048576",
    "12345678901234567890K, 1048576"
  })
  void sizeIsReadAndKeptWithinReason(String stated, long bytes) throws IOException {
    cache(0, "1", "48K");
    cache(1, "1", "32K");
    cache(2, "2", stated);
    cache(3, "3", "107520K");
    assertThat(SecondLevelCache.bytes(caches)).isEqualTo(bytes);
  }

  @Test
  void usualWhereNothingIsSaid() throws IOException {
    assertThat(SecondLevelCache.bytes(caches)).isEqualTo(1 << 20);
    assertThat(SecondLevelCache.bytes(caches.resolve("absent"))).isEqualTo(1 << 20);
    Files.createDirectories(caches.resolve("index2"));
    assertThat(SecondLevelCache.bytes(caches)).isEqualTo(1 << 20);
  }
}
