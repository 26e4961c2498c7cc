package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class OutputLockTest {
  @TempDir private Path folder;

  @Test
  void aSecondRunEndsAtOnceAndSaysWhoHoldsTheOutput() throws IOException {
    Path output = folder.resolve("parent").resolve("out");
    try (OutputLock lock = OutputLock.acquire(output);
        OutputLock other = OutputLock.acquire(folder.resolve("other"))) {
      assertThat(lock).isNotSameAs(other);
      assertThatThrownBy(() -> OutputLock.acquire(output))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is being written by process " + ProcessHandle.current().pid());
    }
    assertThat(output.getParent()).isEmptyDirectory();
    OutputLock.acquire(output).close();
  }

  @Test
  void aLockOfADeadProcessMeansNothing() throws IOException {
    Path file = folder.resolve(".out.lock");
    Files.writeString(file, "process 1 on another planet, running since the beginning of time");
    try (OutputLock lock = OutputLock.acquire(folder.resolve("out"))) {
      assertThat(lock).isNotNull();
      assertThat(Files.readString(file)).startsWith("process " + ProcessHandle.current().pid());
    }
    assertThat(file).doesNotExist();
  }

  @Test
  void linksToOneFolderAreOneOutput() throws IOException {
    Path real = Files.createDirectory(folder.resolve("real"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    try (OutputLock lock = OutputLock.acquire(real)) {
      assertThat(lock).isNotNull();
      assertThatThrownBy(() -> OutputLock.acquire(link)).isInstanceOf(BadInputException.class);
    }
  }
}
