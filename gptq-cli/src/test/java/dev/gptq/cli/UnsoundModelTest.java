package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.primitives.Bytes;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.formats.safetensors.Checkpoint;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model whose predictions are NaN is measured by no command, nor talks. */
final class UnsoundModelTest {
  private static final List<String> SMALL = List.of("--seq-len", "32", "--windows", "2");

  @TempDir private Path folder;

  /** The bundled model with a NaN in its last norm. */
  @BeforeEach
  void damage() throws IOException {
    try (Stream<Path> files = Files.list(Cli.TINY)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path weights = folder.resolve("model.safetensors");
    byte[] norm = new byte[64];
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      MemorySegment.ofArray(norm)
          .copyFrom(checkpoint.require("model.norm.weight").data().asSlice(0, norm.length));
    }
    int at = Bytes.indexOf(Files.readAllBytes(weights), norm);
    try (FileChannel channel = FileChannel.open(weights, StandardOpenOption.WRITE)) {
      byte[] nan = {(byte) 0xff, (byte) 0x7f};
      assertThat(channel.write(ByteBuffer.wrap(nan), at)).isEqualTo(2);
    }
  }

  @Test
  void evalRefuses() {
    assertRefused("the model predicts", run("eval", "--text", Cli.EVALUATION));
  }

  @Test
  void evalAgainstRefusesEither() {
    assertRefused(
        "the model predicts", run("eval", "--text", Cli.EVALUATION, "--against", Cli.TINY));
    assertRefused(
        "the model that is compared with predicts",
        Cli.run(
            Stream.concat(
                    Stream.of(
                        "eval", "--model", Cli.TINY, "--text", Cli.EVALUATION, "--against", folder),
                    SMALL.stream())
                .toArray()));
  }

  @Test
  void compareRefuses() {
    assertRefused(
        "the model predicts",
        run("compare", "--text", Cli.EVALUATION, "--samples", "2", "--bits", "4"));
  }

  @Test
  void generateRefuses() {
    assertRefused(
        "the model predicts", Cli.run("generate", "--model", folder, "--prompt", "The captain"));
  }

  private Cli.Outcome run(Object... words) {
    return Cli.run(
        Stream.of(Stream.of(words), Stream.of("--model", folder), SMALL.stream())
            .flatMap(part -> part)
            .toArray());
  }

  private static void assertRefused(String whose, Cli.Outcome refused) {
    assertThat(refused.status()).as(refused.err()).isEqualTo(ExitStatus.BAD_INPUT);
    assertThat(refused.err().lines().filter(line -> line.startsWith("gptq: ")))
        .singleElement()
        .asString()
        .contains(whose + " NaN or infinite numbers");
  }
}
