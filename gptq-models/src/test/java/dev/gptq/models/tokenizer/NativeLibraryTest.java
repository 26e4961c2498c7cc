package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the native library comes from and what it does to a process, each time a fresh one. */
class NativeLibraryTest {
  @TempDir private Path folder;
  @TempDir private Path answers;

  private record Ended(int status, String answer) {}

  private Ended encode(int times, String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add("-XX:TieredStopAtLevel=1");
    command.add("-Duser.home=" + folder.resolve("home"));
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(EncodeFile.class.getName());
    command.add(SharedFiles.bundled("examples/tiny").toString());
    command.add(SharedFiles.bundled("examples/text/demo-calibration.txt").toString());
    command.add(Integer.toString(times));
    Path answer = answers.resolve("answer.txt");
    command.add(answer.toString());
    Process process =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    int status = process.waitFor();
    return new Ended(status, Files.exists(answer) ? Files.readString(answer) : "");
  }

  private static List<Path> list(Path folder) throws IOException {
    try (var entries = Files.list(folder)) {
      return entries.toList();
    }
  }

  @Test
  void itIsTakenFromNowhereElseAndLeftNowhere() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("tmp"));
    Path planted =
        Files.createDirectories(
            temporary.resolve(".djl.ai/tokenizers/0.21.0-0.38.0-cpu-linux-x86_64"));
    Files.writeString(planted.resolve("libtokenizers.so"), "planted");
    Ended ended = encode(1, "-Djava.io.tmpdir=" + temporary);
    assertThat(ended.answer()).matches("\\d+");
    assertThat(list(temporary)).containsExactly(temporary.resolve(".djl.ai"));
    assertThat(list(folder)).containsExactly(temporary);
  }

  @Test
  void withoutATemporaryFolderTheRemedyIsSaid() throws Exception {
    Ended ended = encode(1, "-Djava.io.tmpdir=" + folder.resolve("absent"));
    assertThat(ended.answer())
        .contains("native library", folder.resolve("absent").toString(), "-Djava.io.tmpdir=");
    assertThat(ended.status()).isZero();
  }

  @Test
  void aTextTooLongForTheHeapIsAnErrorOfJava() throws Exception {
    Ended ended = encode(40, "-Xmx48m", "-Djava.io.tmpdir=" + folder);
    assertThat(ended.answer()).contains("OutOfMemoryError");
    assertThat(ended.status()).isZero();
  }
}
