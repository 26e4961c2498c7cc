package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Another program cuts a file that is mapped. Without care that ends the JVM, this test too. */
class ShrinkingFileTest {
  private static final int ELEMENTS = 4 << 20;

  @TempDir Path root;
  private Path file;

  @BeforeEach
  void write() throws IOException {
    Path model = root.resolve("model");
    try (CheckpointWriter writer = CheckpointWriter.create(model, WriterOptions.DEFAULT)) {
      MemorySegment zeros = MemorySegment.ofArray(new byte[ELEMENTS]);
      writer.add("a", StoredType.U8, new long[] {ELEMENTS}, zeros);
      writer.add("b", StoredType.U8, new long[] {ELEMENTS}, zeros);
      writer.commit();
    }
    file = model.resolve("model.safetensors");
  }

  private void cut() throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.setLength(12288);
    }
  }

  @Test
  void copyingItAtOnceNamesIt() throws IOException {
    try (Checkpoint source = Checkpoint.open(file);
        CheckpointWriter writer =
            CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      cut();
      assertThatThrownBy(() -> writer.addAll(Stream.of("a", "b").map(source::require).toList()))
          .isInstanceOf(UnreadableFileException.class)
          .hasMessageContaining(file + " has 12288 bytes where it had ");
    }
    assertThat(root.resolve("out")).doesNotExist();
  }

  @Test
  void copyingATensorNamesIt() throws IOException {
    try (Checkpoint source = Checkpoint.open(file);
        CheckpointWriter writer =
            CheckpointWriter.create(root.resolve("out"), WriterOptions.DEFAULT)) {
      cut();
      assertThatThrownBy(() -> writer.add(source.require("b")))
          .isInstanceOf(UnreadableFileException.class)
          .hasMessageContaining(file.toString());
    }
  }

  @Test
  void aFaultElsewhereIsExplainedAndOtherErrorsAreNot() throws IOException {
    try (Checkpoint source = Checkpoint.open(file)) {
      cut();
      InternalError raw =
          catchThrowableOfType(
              InternalError.class,
              () ->
                  MemorySegment.copy(
                      source.require("b").data(),
                      0,
                      MemorySegment.ofArray(new byte[ELEMENTS]),
                      0,
                      ELEMENTS));
      assertThat(MappedFiles.fault(new IllegalStateException(raw)).orElseThrow())
          .hasMessageContaining(file.toString());
    }
    Files.delete(file);
    assertThat(MappedFiles.fault(new InternalError("another"))).isEmpty();
    assertThat(MappedFiles.fault(new InternalError("a fault in an unsafe memory access")))
        .get()
        .asString()
        .contains("a mapped file cannot be read");
  }
}
