package dev.gptq.formats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.WriterOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FileHoldTest {
  @TempDir private Path folder;

  /** Another process, whose status says whether it could take the file of its argument. */
  static final class Other {
    private Other() {}

    public static void main(String[] arguments) throws IOException {
      if (FileHold.take(Path.of(arguments[0])).isEmpty()) {
        throw new IllegalStateException("held by another");
      }
    }
  }

  private static boolean anotherProcessTakes(Path file) throws Exception {
    int status =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                Other.class.getName(),
                file.toString())
            .inheritIO()
            .start()
            .waitFor();
    assertThat(status).isBetween(0, 1);
    return status == 0;
  }

  @Test
  void whoAsksInVainDoesNotTakeItAway() throws Exception {
    Path file = folder.resolve("hold");
    Path link = Files.createSymbolicLink(folder.resolve("link"), folder);
    try (FileHold hold = FileHold.take(file).orElseThrow()) {
      assertThat(hold.channel().isOpen()).isTrue();
      assertThat(FileHold.take(file)).isEmpty();
      assertThat(FileHold.take(link.resolve("hold"))).isEmpty();
      assertThat(FileHold.isHeldHere(file)).isTrue();
      assertThat(anotherProcessTakes(file)).isFalse();
    }
    assertThat(FileHold.isHeldHere(file)).isFalse();
    assertThat(anotherProcessTakes(file)).isTrue();
  }

  @Test
  void aSecondWriterInOneProcessDoesNotLetAThirdIn() throws Exception {
    Path output = folder.resolve("out");
    try (CheckpointWriter writer = CheckpointWriter.create(output, WriterOptions.DEFAULT)) {
      assertThat(writer).isNotNull();
      assertThatThrownBy(() -> CheckpointWriter.create(output, WriterOptions.DEFAULT))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is being written already");
      assertThat(anotherProcessTakes(folder.resolve(".out.partial").resolve(".lock"))).isFalse();
    }
  }
}
