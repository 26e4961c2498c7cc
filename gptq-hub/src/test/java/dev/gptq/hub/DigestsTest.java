package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Known answers. */
final class DigestsTest {
  @TempDir private Path folder;

  @Test
  void hello() throws IOException {
    Path file = Files.writeString(folder.resolve("f"), "hello");
    assertThat(Digests.git(file)).isEqualTo("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    assertThat(Digests.sha256(file))
        .isEqualTo("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assertThat(Digests.like("0".repeat(64), file)).isEqualTo(Digests.sha256(file));
    assertThat(Digests.like("0".repeat(40), file)).isEqualTo(Digests.git(file));
  }
}
