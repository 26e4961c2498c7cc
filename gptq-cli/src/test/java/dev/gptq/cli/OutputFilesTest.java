package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.hash.Hashing;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.gguf.GgufWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Logs, reports and other files that commands write beside a checkpoint hurt nothing. */
final class OutputFilesTest {
  private static final Cli.Session CLI = new Cli.Session();

  @TempDir private Path folder;
  private Path model;

  @BeforeEach
  void copy() throws IOException {
    model = Files.createDirectory(folder.resolve("model"));
    try (Stream<Path> files = Files.list(Cli.TINY)) {
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
  }

  private static Map<String, String> contents(Path folder) throws IOException {
    Map<String, String> contents = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      files.forEach(file -> {
        try {
          contents.put(
              file.toString(),
              Files.isDirectory(file)
                  ? ""
                  : Hashing.sha256().hashBytes(Files.readAllBytes(file)).toString());
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      });
    }
    return contents;
  }

  private void refused(int status, String sentence, Object... command) throws IOException {
    Map<String, String> before = contents(folder);
    // A session keeps the log that it has opened.
    boolean logged = Arrays.asList(command).contains("--log");
    Cli.Outcome outcome = logged ? Cli.run(command) : CLI.run(command);
    assertThat(outcome.err()).contains(sentence);
    assertThat(outcome.status()).isEqualTo(status);
    assertThat(contents(folder)).isEqualTo(before);
  }

  private Object[] quantize(Object... more) {
    List<Object> words = new ArrayList<>();
    words.addAll(List.of("quantize", "--model", model, "--output", folder.resolve("out")));
    words.addAll(List.of(more));
    return words.toArray();
  }

  @Test
  void aLogIsAddedToNoFileThatTheCommandReads() throws IOException {
    Path text = Files.writeString(folder.resolve("text.txt"), "words");
    for (String name : List.of("config.json", "model.safetensors", "run.log")) {
      refused(2, "which is read", quantize("--method", "rtn", "--log", model.resolve(name)));
    }
    refused(2, "is what is read", quantize("--calibration", text, "--log", text));
    Path link = Files.createSymbolicLink(folder.resolve("link"), text);
    refused(2, "is what is read", quantize("--calibration", text, "--log", link));
    refused(2, "is what is read", "eval", "--model", Cli.TINY, "--text", text, "--log", text);
  }

  @Test
  void aReportGoesIntoNoModelAndOverNoPageOfOthers() throws IOException {
    refused(2, "is what is read", quantize("--method", "rtn", "--report", model));
    refused(2, "lies inside", quantize("--method", "rtn", "--report", model.resolve("page")));
    refused(2, "is what is read", "study", "--model", model, "--report", model);
    refused(2, "is what is read", "plot", model, "--report", model);
    Path page = Files.createDirectory(folder.resolve("page"));
    Files.writeString(page.resolve("index.html"), "<html>mine</html>");
    refused(65, "was not written by this program", quantize("--method", "rtn", "--report", page));
    Path file = Files.createFile(folder.resolve("file"));
    refused(65, "is a file", quantize("--method", "rtn", "--report", file.resolve("page")));
  }

  @Test
  void logitsReplaceLogitsOnly() throws IOException {
    Path other = Files.copy(model.resolve("model.safetensors"), folder.resolve("a.safetensors"));
    Object[] command = {"logits", "--model", Cli.TINY, "--tokens", "1,2", "--output", other};
    refused(65, "holds other things than 'logits'", command);
    command[6] = Files.writeString(folder.resolve("b"), "text");
    refused(65, "is not what this would replace", command);
    command[6] = folder.resolve("c.safetensors");
    assertThat(CLI.run(command).status()).isZero();
    assertThat(CLI.run(command).status()).isZero();
  }

  @Test
  void ggufFilesOfOthersStay() throws IOException {
    Path ours = folder.resolve("ours.gguf");
    GgufWriter.write(ours, new GgufMetadata(), ImmutableList.of(), false);
    GgufWriter.write(ours, new GgufMetadata(), ImmutableList.of(), true);
    byte[] bytes = Files.readAllBytes(ours);
    bytes[66]++;
    Path theirs = Files.write(folder.resolve("theirs.gguf"), bytes);
    refused(
        65,
        "was not written by this program",
        "convert",
        "--model",
        model,
        "--output",
        theirs,
        "--format",
        "gguf",
        "--overwrite");
    refused(2, "lies inside", quantize("--samples", 1, "--write-imatrix", model.resolve("x.gguf")));
  }
}
