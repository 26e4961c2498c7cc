package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointWriterTest {
  @TempDir Path root;

  private static MemorySegment bytes(int count, int first) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) (first + i);
    }
    return MemorySegment.ofArray(bytes);
  }

  private static void addThree(CheckpointWriter writer) throws IOException {
    writer.add("bytes", StoredType.U8, new long[] {3}, bytes(3, 0));
    writer.add("halves", StoredType.F16, new long[] {1, 5}, bytes(10, 10));
    writer.add("words", StoredType.I32, new long[] {2, 2}, bytes(16, 40));
  }

  private static List<String> content(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(p -> p.getFileName().toString()).sorted().toList();
    }
  }

  private static byte[] read(Checkpoint checkpoint, String name) {
    return checkpoint.require(name).data().toArray(ValueLayout.JAVA_BYTE);
  }

  @Test
  void oneFileHoldsAlignedTensorsBehindAPaddedHeader() throws IOException {
    Path folder = root.resolve("out");
    WriterOptions options = WriterOptions.DEFAULT.withMetadata(ImmutableMap.of("made", "here"));
    try (CheckpointWriter writer = CheckpointWriter.create(folder, options)) {
      addThree(writer);
      writer.writeFile("config.json", "{}".getBytes(StandardCharsets.UTF_8));
      writer.commit();
    }
    assertThat(content(root)).containsExactly("out");
    assertThat(content(folder)).containsExactly("config.json", "model.safetensors");
    String text =
        Files.readString(folder.resolve("model.safetensors"), StandardCharsets.ISO_8859_1);
    int header = text.charAt(0);
    assertThat(header % 8).isZero();
    assertThat(text.substring(8, 8 + header).strip())
        .isEqualTo(
            """
            {"__metadata__":{"format":"pt","made":"here"},\
            "words":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},\
            "halves":{"dtype":"F16","shape":[1,5],"data_offsets":[16,26]},\
            "bytes":{"dtype":"U8","shape":[3],"data_offsets":[26,29]}}\
            """);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(read(checkpoint, "bytes")).isEqualTo(new byte[] {0, 1, 2});
      assertThat(read(checkpoint, "halves")).startsWith(10, 11).hasSize(10);
      assertThat(read(checkpoint, "words")).startsWith(40, 41).hasSize(16);
    }
  }

  @Test
  void shardsRespectTheLimitAndTheIndexListsEachTensorOnce() throws IOException {
    Path folder = root.resolve("out");
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder, WriterOptions.DEFAULT.withShardLimit(13))) {
      addThree(writer);
      writer.commit();
    }
    assertThat(content(folder))
        .containsExactly(
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json");
    assertThat(Files.readString(folder.resolve("model.safetensors.index.json")))
        .isEqualToIgnoringWhitespace(
            """
            {"metadata": {"total_size": 29},
             "weight_map": {"bytes": "model-00001-of-00002.safetensors",
                            "halves": "model-00001-of-00002.safetensors",
                            "words": "model-00002-of-00002.safetensors"}}\
            """);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.totalBytes()).isEqualTo(29);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aRealModelSurvivesACopy(boolean atOnce) throws IOException {
    Path source = SharedFiles.bundled("examples/tiny");
    Path folder = root.resolve("copy");
    try (Checkpoint original = Checkpoint.open(source)) {
      try (CheckpointWriter writer =
          CheckpointWriter.create(folder, WriterOptions.DEFAULT.withShardLimit(4_000_000))) {
        if (atOnce) {
          writer.addAll(original.names().stream().map(original::require).toList());
        } else {
          for (String name : original.names()) {
            writer.add(original.require(name));
          }
        }
        writer.copyFile(source.resolve("config.json"));
        writer.commit();
      }
      assertThat(content(folder)).contains("config.json", "model-00003-of-00003.safetensors");
      try (Checkpoint copy = Checkpoint.open(folder)) {
        assertThat(copy.names()).hasSameElementsAs(original.names());
        for (String name : original.names()) {
          StoredTensor expected = original.require(name);
          StoredTensor actual = copy.require(name);
          assertThat(actual.describe()).isEqualTo(expected.describe());
          assertThat(actual.data().mismatch(expected.data())).as(name).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void tensorsThatComeAtOnceAreAlignedAndMayFollowSingleOnes() throws IOException {
    Path first = root.resolve("first");
    try (CheckpointWriter writer = CheckpointWriter.create(first, WriterOptions.DEFAULT)) {
      addThree(writer);
      writer.commit();
    }
    Path second = root.resolve("second");
    Path both = root.resolve("both");
    try (Checkpoint source = Checkpoint.open(first)) {
      List<StoredTensor> tensors =
          Stream.of("bytes", "halves", "words").map(source::require).toList();
      try (CheckpointWriter writer = CheckpointWriter.create(second, WriterOptions.DEFAULT)) {
        writer.addAll(tensors);
        assertThatThrownBy(() -> writer.addAll(tensors))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("'bytes'");
        writer.commit();
      }
      try (CheckpointWriter writer = CheckpointWriter.create(both, WriterOptions.DEFAULT)) {
        writer.add("single", StoredType.U8, new long[] {2}, bytes(2, 7));
        writer.addAll(tensors);
        writer.add("last", StoredType.U8, new long[] {1}, bytes(1, 9));
        writer.commit();
      }
    }
    assertThat(second.resolve("model.safetensors"))
        .hasSameBinaryContentAs(first.resolve("model.safetensors"));
    assertThat(content(both)).hasSize(4).contains("model-00003-of-00003.safetensors");
    try (Checkpoint checkpoint = Checkpoint.open(both)) {
      assertThat(read(checkpoint, "single")).containsExactly(7, 8);
      assertThat(read(checkpoint, "halves")).startsWith(10, 11).hasSize(10);
      assertThat(read(checkpoint, "last")).containsExactly(9);
    }
  }

  /** Tensors that come in another order than their files have, and none of which is asked twice. */
  @Test
  void announcedTensorsComeInAnyOrderAndTheFilesAreTheSame() throws IOException {
    WriterOptions options = WriterOptions.DEFAULT.withShardLimit(13);
    List<StoredTensor> tensors =
        List.of(stored("bytes", 3), stored("more", 5), stored("long", 70_001), stored("none", 0));
    try (CheckpointWriter writer = CheckpointWriter.create(root.resolve("at-once"), options)) {
      writer.addAll(tensors);
      writer.commit();
    }
    try (CheckpointWriter writer = CheckpointWriter.create(root.resolve("grown"), options)) {
      writer.announce(
          tensors.stream()
              .map(tensor ->
                  StoredTensor.computed(
                      tensor.name(),
                      tensor.type(),
                      tensor.shape(),
                      root,
                      () -> {
                        throw new AssertionError("elements were asked for");
                      }))
              .toList());
      assertThat(writer.awaits(stored("more", 5))).isTrue();
      assertThat(writer.awaits(stored("more", 4))).isFalse();
      assertThat(writer.awaits(stored("other", 5))).isFalse();
      assertThatThrownBy(() -> writer.addAll(tensors)).hasMessageContaining("'bytes'");
      assertThatThrownBy(() -> writer.fill(List.of(stored("more", 4))))
          .isInstanceOf(IllegalArgumentException.class);
      writer.fill(List.of(tensors.get(3), tensors.get(1)));
      assertThat(writer.awaits(stored("more", 5))).isFalse();
      assertThatThrownBy(writer::commit).hasMessageContaining("did not come");
      writer.fill(List.of(tensors.get(2)));
      writer.fill(List.of(tensors.get(0)));
      writer.commit();
    }
    for (String file : content(root.resolve("at-once"))) {
      assertThat(root.resolve("grown").resolve(file))
          .hasSameBinaryContentAs(root.resolve("at-once").resolve(file));
    }
    assertThat(content(root.resolve("grown")))
        .hasSize(4)
        .isEqualTo(content(root.resolve("at-once")));
  }

  private StoredTensor stored(String name, int size) {
    return new StoredTensor(
        name, StoredType.U8, ImmutableList.of((long) size), root, bytes(size, size));
  }

  @Test
  void announcedTensorsAreReadBackWhenTheyCome() throws IOException {
    try (CheckpointWriter writer =
        CheckpointWriter.create(
            root.resolve("out"),
            WriterOptions.DEFAULT,
            file ->
                new ForgetfulChannel(
                    FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    50_000))) {
      StoredTensor small = stored("small", 9);
      StoredTensor large = stored("large", 70_001);
      writer.announce(List.of(large, small));
      writer.fill(List.of(small));
      assertThatThrownBy(() -> writer.fill(List.of(large)))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("tensor 'large' reads back differently");
    }
    assertThat(content(root)).isEmpty();
  }

  /** What is written next need not wait for what is read back, but a commit does. */
  @Test
  void tensorsAreReadBackBesideOthers() throws IOException {
    StoredTensor small = stored("small", 9);
    StoredTensor large = stored("large", 70_001);
    try (CheckpointWriter writer =
        CheckpointWriter.create(
            root.resolve("out"),
            WriterOptions.DEFAULT,
            file ->
                new ForgetfulChannel(
                    FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    50_000))) {
      writer.announce(List.of(large, small));
      writer.write(List.of(small));
      writer.write(List.of(large));
      assertThatThrownBy(writer::commit)
          .isInstanceOf(IOException.class)
          .hasMessageContaining("tensor 'large' reads back differently");
    }
    assertThat(content(root)).isEmpty();
    try (CheckpointWriter writer =
        CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      writer.announce(List.of(large, small));
      writer.write(List.of(small));
      writer.write(List.of(large));
      assertThat(writer.commit()).isNotNull();
    }
    assertThat(content(root)).isNotEmpty();
  }

  @Test
  void withoutCommitNothingStays() throws IOException {
    try (CheckpointWriter writer =
        CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      addThree(writer);
      assertThat(content(root)).containsExactly(".out.partial");
    }
    assertThat(content(root)).isEmpty();
  }

  @Test
  void aFolderInUseIsNotOverwrittenUnasked() throws IOException {
    Path folder = Files.createDirectories(root.resolve("out"));
    Files.writeString(folder.resolve("config.json"), "old");
    assertThatThrownBy(() -> CheckpointWriter.create(folder, WriterOptions.DEFAULT))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining("not empty");
    assertThat(content(root)).containsExactly("out");
  }

  @Test
  void theOldCheckpointStaysUntilTheNewOneIsWhole() throws IOException {
    Path folder = Files.createDirectories(root.resolve("out"));
    Files.writeString(folder.resolve("config.json"), "old");
    WriterOptions options = WriterOptions.DEFAULT.withOverwrite(true);
    try (CheckpointWriter writer = CheckpointWriter.create(folder, options)) {
      addThree(writer);
    }
    assertThat(content(folder)).containsExactly("config.json");
    try (CheckpointWriter writer = CheckpointWriter.create(folder, options)) {
      addThree(writer);
      assertThat(folder.resolve("config.json")).exists();
      writer.commit();
    }
    assertThat(content(folder)).containsExactly("model.safetensors");
    assertThat(content(root)).containsExactly("out");
  }

  @Test
  void whatIsNoCheckpointIsNeverOverwritten() throws IOException {
    Path folder = Files.createDirectories(root.resolve("home"));
    Files.writeString(folder.resolve("thesis.tex"), "precious");
    assertThatThrownBy(
            () -> CheckpointWriter.create(folder, WriterOptions.DEFAULT.withOverwrite(true)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("does not look like a checkpoint");
    Path file = Files.writeString(root.resolve("file"), "");
    assertThatThrownBy(() -> CheckpointWriter.create(file, WriterOptions.DEFAULT))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("is a file");
  }

  @Test
  void anEmptyFolderAndTheRestOfAKilledRunAreUsed() throws IOException {
    Path folder = Files.createDirectories(root.resolve("out"));
    Path rest = Files.createDirectories(root.resolve(".out.partial/sub"));
    Files.createFile(root.resolve(".out.partial/.lock"));
    Files.writeString(rest.resolve("part-1.data"), "rest");
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      addThree(writer);
      writer.commit();
    }
    assertThat(content(folder)).containsExactly("model.safetensors");
  }

  @Test
  void twoWritersDoNotMeet() throws IOException {
    Path folder = root.resolve("out");
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      addThree(writer);
      assertThatThrownBy(() -> CheckpointWriter.create(folder, WriterOptions.DEFAULT))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(folder + " is being written already");
      writer.commit();
    }
    assertThat(content(folder)).containsExactly("model.safetensors");
  }

  @Test
  void aFullDiskLeavesNothing() throws IOException {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "no device that is always full");
    assertThatThrownBy(
            () -> {
              try (CheckpointWriter writer =
                  CheckpointWriter.create(
                      root.resolve("out"),
                      WriterOptions.DEFAULT,
                      _ -> FileChannel.open(full, StandardOpenOption.WRITE))) {
                addThree(writer);
                writer.commit();
              }
            })
        .isInstanceOf(IOException.class)
        .hasMessageContaining("writing tensor 'bytes' to " + root)
        .hasMessageContaining("No space left on device")
        .hasMessageContaining("free some space");
    assertThat(content(root)).isEmpty();
  }

  @Test
  void aDiskThatFillsWhileTensorsAreCopiedIsNamed() throws IOException {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "no device that is always full");
    try (Checkpoint source = Checkpoint.open(SharedFiles.bundled("examples/tiny"));
        CheckpointWriter writer =
            CheckpointWriter.create(
                root.resolve("out"),
                WriterOptions.DEFAULT,
                _ -> FileChannel.open(full, StandardOpenOption.WRITE))) {
      assertThatThrownBy(() -> writer.addAll(source.names().stream().map(source::require).toList()))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("writing shard 1 to " + root)
          .hasMessageContaining("No space left on device");
    }
    assertThat(content(root)).isEmpty();
  }

  @Test
  void bytesThatComeBackDifferentAreNotCommitted() throws IOException {
    try (CheckpointWriter writer =
        CheckpointWriter.create(
            root.resolve("out"),
            WriterOptions.DEFAULT,
            file -> {
              FileChannel channel =
                  FileChannel.open(
                      file,
                      StandardOpenOption.CREATE,
                      StandardOpenOption.READ,
                      StandardOpenOption.WRITE);
              return file.toString().endsWith(".data") ? new ForgetfulChannel(channel) : channel;
            })) {
      addThree(writer);
      assertThatThrownBy(writer::commit)
          .isInstanceOf(IOException.class)
          .hasMessageContaining("tensor 'halves' reads back differently");
    }
    assertThat(content(root)).isEmpty();
  }

  @Test
  void misuseIsRefused() throws IOException {
    try (CheckpointWriter writer =
        CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      assertThatThrownBy(writer::commit).isInstanceOf(IllegalStateException.class);
      addThree(writer);
      assertThatThrownBy(() -> addThree(writer))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("'bytes'");
      assertThatThrownBy(() -> writer.add("x", StoredType.F32, new long[] {2}, bytes(4, 0)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("8 bytes, not 4");
      assertThatThrownBy(() -> writer.writeFile("../config.json", new byte[0]))
          .isInstanceOf(IllegalArgumentException.class);
      writer.commit();
      assertThatThrownBy(() -> writer.add("x", StoredType.U8, new long[] {1}, bytes(1, 0)))
          .isInstanceOf(IllegalStateException.class);
    }
    assertThat(content(root.resolve("out"))).containsExactly("model.safetensors");
  }
}
