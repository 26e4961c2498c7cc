package dev.gptq.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ShardCopyTest {
  private static final int PORTION = 1 << 20;
  private static final int LAST = 12_345;

  @TempDir private Path root;
  private final StoredTensor large = stored("large", 3 * PORTION);
  private final StoredTensor small = stored("small", LAST);
  private final List<Portion> portions = Portion.of(List.of(large, small), PORTION);
  private final ForkJoinPool waiting = ForkJoinPool.commonPool();

  private static StoredTensor stored(String name, int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (i * 7 + i / 1000);
    }
    return new StoredTensor(
        name,
        StoredType.U8,
        ImmutableList.of((long) size),
        Path.of("from"),
        MemorySegment.ofArray(bytes));
  }

  /** A disk on which something happens when it is written to or waited for. */
  private abstract static class Disk extends ForgetfulChannel {
    Disk(FileChannel channel) {
      super(channel, Integer.MAX_VALUE);
    }

    abstract void written(int bytes) throws IOException;

    abstract void forced() throws IOException;

    @Override
    public int write(ByteBuffer source, long position) throws IOException {
      int bytes = super.write(source, position);
      written(bytes);
      return bytes;
    }

    @Override
    public void force(boolean metaData) throws IOException {
      forced();
      super.force(metaData);
    }
  }

  private ShardCopy begin(ShardWriter.Opener opener) throws IOException {
    return ShardCopy.begin(
        root.resolve("file"), opener, List.of(large, small), ImmutableMap.of("format", "pt"));
  }

  private static FileChannel channel(Path file) throws IOException {
    return FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }

  /** The first is not on the disk before the second has been copied. */
  @Test
  void aPortionIsForcedWhileTheNextIsCopied() throws IOException {
    CountDownLatch beside = new CountDownLatch(2 * PORTION);
    AtomicInteger forced = new AtomicInteger();
    List<List<ReadBack.Written>> onDisk = new ArrayList<>();
    try (ShardCopy copy =
        begin(file ->
            new Disk(channel(file)) {
              @Override
              void written(int bytes) {
                for (int i = 0; i < bytes; i++) {
                  beside.countDown();
                }
              }

              @Override
              void forced() throws IOException {
                try {
                  if (forced.incrementAndGet() == 1 && !beside.await(1, TimeUnit.MINUTES)) {
                    throw new IOException("nothing came");
                  }
                } catch (InterruptedException e) {
                  throw new IOException(e);
                }
              }
            })) {
      copy.fill(portions, waiting, onDisk::add);
      assertThat(copy.isWhole()).isTrue();
      assertThat(onDisk.stream().flatMap(List::stream).map(ReadBack.Written::tensor))
          .containsExactly("large", "large", "large", "small");
      for (List<ReadBack.Written> written : onDisk) {
        copy.verify(written);
      }
    }
    assertThat(forced).hasValue(4);
    assertThat(Shard.places(root.resolve("file")).entries()).hasSize(2);
    try (Checkpoint read = Checkpoint.open(root.resolve("file"))) {
      for (StoredTensor tensor : List.of(large, small)) {
        assertThat(read.require(tensor.name()).data().toArray(ValueLayout.JAVA_BYTE))
            .isEqualTo(tensor.data().toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }

  @Test
  void aDiskThatRefusesWhileTheNextIsCopiedIsHeard() throws IOException {
    AtomicInteger forced = new AtomicInteger();
    List<ReadBack.Written> onDisk = new ArrayList<>();
    try (ShardCopy copy =
        begin(file ->
            new Disk(channel(file)) {
              @Override
              void written(int bytes) {}

              @Override
              void forced() throws IOException {
                if (forced.incrementAndGet() == 2) {
                  throw new IOException("no room");
                }
              }
            })) {
      assertThatThrownBy(() -> copy.fill(portions, waiting, onDisk::addAll))
          .isInstanceOf(IOException.class)
          .hasMessage("no room");
      assertThat(copy.isWhole()).isFalse();
      assertThat(onDisk).hasSize(1);
    }
  }
}
