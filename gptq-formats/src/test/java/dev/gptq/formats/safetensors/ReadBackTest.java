package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ReadBackTest {
  /** Smaller and larger than a piece, and no whole number of the disk's units. */
  private static final Map<String, Integer> SIZES =
      Map.of("none", 0, "tiny", 3, "middle", 70_001, "large", (2 << 20) + 4097);

  @TempDir private Path root;
  private Path folder;
  private final Map<String, Long> checksums = new LinkedHashMap<>();

  @BeforeEach
  void write() throws IOException {
    folder = root.resolve("out");
    SplittableRandom random = new SplittableRandom(5);
    try (CheckpointWriter writer = CheckpointWriter.create(folder, WriterOptions.DEFAULT)) {
      for (Map.Entry<String, Integer> tensor : SIZES.entrySet()) {
        byte[] bytes = new byte[tensor.getValue()];
        random.nextBytes(bytes);
        CRC32C checksum = new CRC32C();
        checksum.update(bytes);
        checksums.put(tensor.getKey(), checksum.getValue());
        writer.add(
            tensor.getKey(),
            StoredType.U8,
            new long[] {bytes.length},
            MemorySegment.ofArray(bytes));
      }
      writer.commit();
    }
  }

  private void change(long atFromEnd, boolean cut) throws IOException {
    Path file = folder.resolve(Checkpoint.SINGLE_FILE);
    try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
      if (cut) {
        disk.setLength(disk.length() - atFromEnd);
      } else {
        disk.seek(disk.length() - atFromEnd);
        int old = disk.read();
        disk.seek(disk.length() - atFromEnd);
        disk.write(old ^ 16);
      }
    }
  }

  @Test
  void whatWasWrittenIsFound() throws IOException {
    ReadBack.verify(folder, checksums);
  }

  @Test
  void whereTheCacheCannotBePassedItIsSaid() throws IOException {
    Optional<String> cached =
        ReadBack.verify(
            folder,
            checksums,
            file -> {
              throw new FileSystemException(file.toString(), null, "Invalid argument");
            });
    assertThat(cached.orElseThrow()).contains("model.safetensors", "Invalid argument");
    cached =
        ReadBack.verify(
            folder,
            checksums,
            file -> {
              throw new UnsupportedOperationException("not here");
            });
    assertThat(cached).contains("not here");
  }

  @Test
  void everyTensorIsCompared() throws IOException {
    long end = 0;
    for (TensorEntry entry :
        Shard.places(folder.resolve(Checkpoint.SINGLE_FILE)).entries().reversed()) {
      if (entry.byteSize() == 0) {
        continue;
      }
      for (long at : new long[] {end + 1, end + entry.byteSize()}) {
        change(at, false);
        assertThatThrownBy(() -> ReadBack.verify(folder, checksums))
            .isInstanceOf(IOException.class)
            .hasMessageContaining("'" + entry.name() + "' reads back differently");
        change(at, false);
      }
      end += entry.byteSize();
    }
    ReadBack.verify(folder, checksums);
  }

  @Test
  void aFileThatLostItsEndIsRefused() throws IOException {
    change(1, true);
    assertThatThrownBy(() -> ReadBack.verify(folder, checksums))
        .hasMessageContaining("ends at byte");
  }
}
