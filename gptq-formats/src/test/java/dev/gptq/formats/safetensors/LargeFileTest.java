package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A tensor of more than 4 GiB behind another one, in a sparse file. */
@Tag("large")
class LargeFileTest {
  private static final long LARGE = (4L << 30) + 3;

  @TempDir Path folder;

  @Test
  void offsetsBeyondFourGibibytesAreReadAndWritten() throws IOException {
    Path source = folder.resolve("sparse.safetensors");
    String header =
        """
        {"small":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},\
        "large":{"dtype":"U8","shape":[%d],"data_offsets":[2,%d]}}\
        """
            .formatted(LARGE, LARGE + 2);
    RawFile.write(source, header, 2);
    try (FileChannel channel = FileChannel.open(source, StandardOpenOption.WRITE)) {
      long end = 8L + header.length() + 2 + LARGE;
      channel.write(ByteBuffer.wrap(new byte[] {42}), end - 1);
    }
    Path copy = folder.resolve("copy");
    try (Checkpoint checkpoint = Checkpoint.open(source)) {
      StoredTensor large = checkpoint.require("large");
      assertThat(large.elements()).isEqualTo(LARGE);
      assertThat(large.data().get(ValueLayout.JAVA_BYTE, LARGE - 1)).isEqualTo((byte) 42);
      try (CheckpointWriter writer = CheckpointWriter.create(copy, WriterOptions.DEFAULT)) {
        writer.add(large);
        writer.add(checkpoint.require("small"));
        writer.commit();
      }
    }
    try (Checkpoint checkpoint = Checkpoint.open(copy);
        Arena arena = Arena.ofConfined()) {
      MemorySegment large = checkpoint.require("large").data();
      assertThat(large.byteSize()).isEqualTo(LARGE);
      assertThat(large.get(ValueLayout.JAVA_BYTE, LARGE - 1)).isEqualTo((byte) 42);
      assertThat(large.asSlice(LARGE - 1025, 1024).mismatch(arena.allocate(1024))).isEqualTo(-1);
      assertThat(checkpoint.require("small").data().toArray(ValueLayout.JAVA_BYTE))
          .containsExactly(1, 2);
    }
  }
}
