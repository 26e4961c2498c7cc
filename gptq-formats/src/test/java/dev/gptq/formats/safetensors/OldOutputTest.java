package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlaceException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is replaced, and what stays. */
class OldOutputTest {
  private static final WriterOptions REPLACING = WriterOptions.DEFAULT.withOverwrite(true);
  private static final String OURS = "{\"meta\": {\"quantizer\": [\"gptq-java:0\"]}}";

  @TempDir Path root;

  private Path written() throws IOException {
    Path folder = root.resolve("out");
    write(folder, WriterOptions.DEFAULT);
    return folder;
  }

  private static void write(Path folder, WriterOptions options) throws IOException {
    try (CheckpointWriter writer = CheckpointWriter.create(folder, options)) {
      writer.add("a", StoredType.U8, new long[] {1}, MemorySegment.ofArray(new byte[1]));
      writer.writeFile("config.json", "{}".getBytes(StandardCharsets.UTF_8));
      writer.writeFile("quantize_config.json", OURS.getBytes(StandardCharsets.UTF_8));
      options.sideFiles().forEach(name -> side(writer, name));
      writer.commit();
    }
  }

  private static void side(CheckpointWriter writer, String name) {
    try {
      writer.writeFile(name, new byte[0]);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void assertStays(Path folder, WriterOptions options, String name) {
    assertThatThrownBy(() -> CheckpointWriter.create(folder, options))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(folder + " holds " + name);
    assertThat(root.resolve(".out.partial")).doesNotExist();
  }

  @Test
  void whatThisProgramWroteIsReplaced() throws IOException {
    Path folder = written();
    for (String log : List.of("quantization", "observation", "budget", "tuning")) {
      Files.createFile(folder.resolve(log + "-log.jsonl"));
    }
    write(folder, REPLACING);
    assertThat(folder.resolve("model.safetensors")).exists();
    assertThat(folder.resolve("tuning-log.jsonl")).doesNotExist();
  }

  @Test
  void aFileOrFolderOfOthersStaysAndIsNamed() throws IOException {
    Path folder = written();
    Path notes = Files.createFile(folder.resolve("notes.txt"));
    assertStays(folder, REPLACING, "notes.txt");
    Files.delete(notes);
    Files.createFile(Files.createDirectory(folder.resolve("results")).resolve("eval.json"));
    assertStays(folder, REPLACING, "results");
    assertThat(folder.resolve("results/eval.json")).exists();
    Files.delete(folder.resolve("results/eval.json"));
    assertStays(folder, REPLACING, "results");
  }

  /** A folder can be renamed to the place of a link to a folder, and not to that of any other. */
  @Test
  void aLinkToNowhereIsRefusedBeforeTheWork() throws IOException {
    Path link = Files.createSymbolicLink(root.resolve("out"), Path.of("nowhere"));
    assertThatThrownBy(() -> CheckpointWriter.check(link, REPLACING))
        .isInstanceOf(OutputPlaceException.class)
        .hasMessageContaining("is a link to nowhere, which does not exist");
    assertThat(root.resolve(".out.partial")).doesNotExist();
    Files.createDirectory(root.resolve("nowhere"));
    write(link, WriterOptions.DEFAULT);
    assertThat(root.resolve("nowhere").resolve("config.json")).exists();
  }

  @Test
  void weightsOfOthersStay() throws IOException {
    Path folder = written();
    Files.writeString(folder.resolve("quantize_config.json"), "{\"bits\": 4}");
    assertStays(folder, REPLACING, "weights that this program has not written");
    Files.delete(folder.resolve("quantize_config.json"));
    assertStays(folder, REPLACING, "weights that this program has not written");
    assertThat(folder.resolve("model.safetensors")).exists();
  }

  @Test
  void formatsWithoutAFileOfSettingsAreKnownByTheConfiguration() throws IOException {
    Path folder = written();
    Files.delete(folder.resolve("quantize_config.json"));
    Files.writeString(folder.resolve("config.json"), "{\"quantized_by\": [\"gptq-java:0\"]}");
    write(folder, REPLACING);
    assertThat(folder.resolve("quantize_config.json")).exists();
    Files.writeString(folder.resolve("config.json"), "{\"quantized_by\": [\"gptq-java:0\"]}");
    Files.writeString(folder.resolve("quantize_config.json"), "{\"bits\": 4}");
    assertStays(folder, REPLACING, "weights that this program has not written");
  }

  @Test
  void sideFilesOfTheSameNamesAreReplaced() throws IOException {
    Path folder = written();
    WriterOptions options =
        REPLACING.withSideFiles(ImmutableSet.of("modeling_own.py", "templates/tool.jinja"));
    write(folder, options);
    assertThat(folder.resolve("templates/tool.jinja")).exists();
    assertStays(folder, REPLACING, "");
    write(folder, options);
    Files.createFile(folder.resolve("templates/mine.jinja"));
    assertStays(folder, options, "templates");
  }

  @Test
  void whatComesWhileTheOutputGrowsStaysToo() throws IOException {
    Path folder = written();
    try (CheckpointWriter writer = CheckpointWriter.create(folder, REPLACING)) {
      writer.add("a", StoredType.U8, new long[] {1}, MemorySegment.ofArray(new byte[1]));
      Files.createFile(folder.resolve("notes.txt"));
      assertThatThrownBy(writer::commit)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("notes.txt");
    }
    assertThat(folder.resolve("notes.txt")).exists();
    assertThat(folder.resolve("quantize_config.json")).hasContent(OURS);
  }

  @Test
  void theSourceIsNotReplaced() throws IOException {
    Path folder = written();
    WriterOptions options = REPLACING.withSources(ImmutableSet.of(folder));
    for (Path output : new Path[] {folder, root, folder.resolve("w4")}) {
      assertThatThrownBy(() -> CheckpointWriter.create(output, options))
          .isInstanceOf(OutputPlaceException.class);
    }
    assertThat(folder.resolve("model.safetensors")).exists();
  }

  @Test
  void aKillBeforeTheNewNameGivesTheOldFolderItsNameBack() throws IOException {
    Path folder = written();
    Files.move(folder, root.resolve(".out.replaced"));
    CheckpointWriter.check(folder, REPLACING);
    assertThat(folder.resolve("model.safetensors")).exists();
    assertThat(root.resolve(".out.replaced")).doesNotExist();
  }

  @Test
  void aKillAfterTheNewNameLeavesTheOldFolderToTheNextRun() throws IOException {
    Path folder = written();
    Files.move(folder, root.resolve(".out.replaced"));
    write(root.resolve("new"), WriterOptions.DEFAULT);
    Files.move(root.resolve("new"), folder);
    CheckpointWriter.check(folder, REPLACING);
    assertThat(root.resolve(".out.replaced")).doesNotExist();

    Files.writeString(
        Files.createDirectory(root.resolve(".out.replaced")).resolve("notes.txt"), "");
    assertThatThrownBy(() -> CheckpointWriter.check(folder, REPLACING))
        .hasMessageContaining("notes.txt");
  }

  @Test
  void aHiddenFolderOfOthersIsNotCleared() throws IOException {
    Path mine = Files.createDirectories(root.resolve(".out.partial"));
    Files.createFile(mine.resolve("notes.txt"));
    assertThatThrownBy(() -> CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(".out.partial is in the way");
    assertThat(mine.resolve("notes.txt")).exists();
  }
}
