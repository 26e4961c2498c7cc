package dev.gptq.quantizer.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
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

  /** Another process, which tries to have the output of its argument. */
  static final class Other {
    private Other() {}

    public static void main(String[] arguments) throws IOException {
      OutputLock.acquire(Path.of(arguments[0])).close();
    }
  }

  private static Process other(Path output) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            Other.class.getName(),
            output.toString())
        .redirectErrorStream(true)
        .start();
  }

  /** Within one process Java knows better than the system, which forgets a lock easily. */
  @Test
  void anotherProcessCannotHaveIt() throws Exception {
    Path output = folder.resolve("out");
    try (OutputLock lock = OutputLock.acquire(output)) {
      assertThat(lock).isNotNull();
      assertThatThrownBy(() -> OutputLock.acquire(output)).isInstanceOf(BadInputException.class);
      Process refused = other(output);
      assertThat(new String(refused.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
          .contains("is being written by process " + ProcessHandle.current().pid() + " on ");
      assertThat(refused.waitFor()).isEqualTo(1);
    }
    assertThat(other(output).waitFor()).isZero();
    assertThat(folder).isEmptyDirectory();
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
