package dev.gptq.hub;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What of a file has come, and how it is found again. */
final class PartialBlobTest {
  private static final byte[] BYTES = {1, 2, 3, 4, 5, 6, 7};

  @TempDir private Path folder;

  @Test
  void partsGrowInAnyOrderAndAreRemembered() throws IOException {
    Path file = folder.resolve("b");
    try (PartialBlob blob = PartialBlob.open(file, 7, 3)) {
      assertThat(blob.parts()).isEqualTo(3);
      assertThat(blob.length(2)).isEqualTo(1);
      blob.append(1, BYTES, 3, 2);
      blob.record(1);
      blob.append(2, BYTES, 6, 1);
    }
    assertThat(PartialBlob.left(file, 7, 3)).as("only what was recorded").isEqualTo(2);
    try (PartialBlob blob = PartialBlob.open(file, 7, 3)) {
      assertThat(blob.received(0)).isZero();
      assertThat(blob.received(1)).isEqualTo(2);
      blob.append(0, BYTES, 0, 3);
      blob.append(1, BYTES, 5, 1);
      blob.append(2, BYTES, 6, 1);
      assertThat(blob.total()).isEqualTo(7);
      blob.finish();
    }
    assertThat(file).hasBinaryContent(BYTES);
  }

  @Test
  void whatIsNotOfThisFileIsForgotten() throws IOException {
    Path file = folder.resolve("b");
    try (PartialBlob blob = PartialBlob.open(file, 7, 3)) {
      blob.append(0, BYTES, 0, 3);
      blob.record(0);
    }
    assertThat(PartialBlob.left(file, 7, 4)).as("parts of another size").isZero();
    assertThat(PartialBlob.left(file, 8, 3)).as("a file of another size").isZero();
    byte[] damaged = Files.readAllBytes(file);
    damaged[7 + 24] = 100;
    Files.write(file, damaged);
    assertThat(PartialBlob.left(file, 7, 3)).as("more than a part holds").isZero();
    Files.write(file, BYTES);
    assertThat(PartialBlob.left(file, 7, 3)).as("another program's").isZero();
    try (PartialBlob blob = PartialBlob.open(file, 7, 3)) {
      assertThat(blob.total()).isZero();
    }
  }

  @Test
  void emptyFilesAreWholeAtOnce() throws IOException {
    Path file = folder.resolve("b");
    try (PartialBlob blob = PartialBlob.open(file, 0, 3)) {
      assertThat(blob.parts()).isZero();
      blob.finish();
    }
    assertThat(file).isEmptyFile();
    assertThat(Digests.git(file)).isEqualTo("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  }
}
