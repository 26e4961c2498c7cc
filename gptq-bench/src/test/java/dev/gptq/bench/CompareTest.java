package dev.gptq.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CompareTest {
  @TempDir private Path folder;

  @Test
  void flagsOnlyWhatLiesOutsideTheOldRange() throws IOException {
    Path before = file("before", "[[10, 11], [12]]");
    assertThat(lines(before, file("faster", "[[20, 21], [22]]"))).contains("1.909 faster");
    assertThat(lines(before, file("slower", "[[5, 6], [7]]"))).contains("0.545 SLOWER");
    assertThat(lines(before, file("same", "[[11, 12], [13]]")))
        .contains("gemm n=2048")
        .doesNotContain("faster", "SLOWER");
  }

  private static String lines(Path before, Path after) {
    return Compare.table(Compare.read(before), Compare.read(after));
  }

  private Path file(String name, String scores) throws IOException {
    return Files.writeString(
        folder.resolve(name),
        """
        [{"benchmark": "gemm", "params": {"n": "2048"}, "primaryMetric": {"rawData": %s}}]
        """
            .formatted(scores));
  }
}
