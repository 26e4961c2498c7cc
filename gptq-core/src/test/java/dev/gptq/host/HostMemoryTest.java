package dev.gptq.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.MemoryUsage;
import dev.gptq.tensor.OutOfMemoryException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class HostMemoryTest {
  private final HostMemory memory = new HostMemory();

  @AfterEach
  void close() {
    memory.close();
  }

  @Test
  void sizeClassesWasteAtMostAnEighth() {
    for (long bytes = 1024; bytes < 1L << 40; bytes += 1 + bytes / 37) {
      long size = HostMemory.sizeClass(bytes);
      assertThat(size).isGreaterThanOrEqualTo(bytes);
      assertThat(size - bytes).as("waste of %s bytes", bytes).isLessThanOrEqualTo(bytes / 8);
      assertThat(size % HostMemory.ALIGNMENT).isZero();
      assertThat(HostMemory.sizeClass(size)).as("class of a class").isEqualTo(size);
    }
    assertThat(HostMemory.sizeClass(0)).isEqualTo(1024);
    assertThat(HostMemory.sizeClass(1)).isEqualTo(1024);
  }

  @Test
  void blocksAreAligned() {
    for (long bytes : new long[] {1, 1000, 5000, 123_457}) {
      assertThat(memory.acquire(bytes).address() % HostMemory.ALIGNMENT).isZero();
    }
  }

  @Test
  void blocksAreReused() {
    MemorySegment first = memory.acquire(5000);
    MemorySegment second = memory.acquire(5000);
    assertThat(second.address()).isNotEqualTo(first.address());
    long reserved = memory.usage().reserved();
    memory.release(first);
    MemorySegment third = memory.acquire(4990);
    assertThat(third.address()).isEqualTo(first.address());
    assertThat(memory.usage().reserved()).isEqualTo(reserved);
    memory.release(second);
    memory.acquire(50_000);
    assertThat(memory.usage().reserved()).isGreaterThanOrEqualTo(reserved + 50_000);
  }

  @Test
  void usageIsCounted() {
    assertThat(memory.usage().live()).isZero();
    MemorySegment a = memory.acquire(1024);
    MemorySegment b = memory.acquire(2048);
    assertThat(memory.usage().live()).isEqualTo(3072);
    memory.release(a);
    assertThat(memory.usage().live()).isEqualTo(2048);
    memory.release(b);
    assertThat(memory.usage().live()).isZero();
    assertThat(memory.usage().peak()).isEqualTo(3072);
    assertThat(memory.usage().reserved()).isEqualTo(3072);
  }

  @Test
  void moreThanTheMachineHasIsReported() {
    memory.acquire(3L << 20);
    assertThatThrownBy(() -> memory.acquire(1L << 60))
        .isInstanceOf(OutOfMemoryException.class)
        .hasMessageContaining("3 MiB are in use")
        .hasMessageContaining("Use fewer samples");
    assertThat(memory.usage().live()).isEqualTo(3L << 20);
  }

  @Test
  void whatIsKeptCountsTowardsTheLimit() {
    try (HostMemory small = new HostMemory(4L << 20)) {
      MemorySegment first = small.acquire(3L << 20);
      assertThatThrownBy(() -> small.acquire(2L << 20))
          .isInstanceOf(OutOfMemoryException.class)
          .hasMessage(
              "no room for 2 MiB of tensors; 3 MiB are in use, of 4 MiB that may be. Use fewer"
                  + " samples or shorter windows, or a machine with more memory");
      small.release(first);
      assertThat(small.acquire(3L << 20).address()).as("reused").isEqualTo(first.address());
      small.acquire(1L << 20);
    }
  }

  /** What is kept for other sizes makes way, whatever is in use stays. */
  @Test
  void whatIsKeptForOtherSizesIsGivenBack() {
    try (HostMemory small = new HostMemory(4L << 20)) {
      MemorySegment used = small.acquire(1L << 20);
      used.fill((byte) 7);
      small.release(small.acquire(2L << 20));
      MemorySegment large = small.acquire(3L << 20);
      large.fill((byte) 1);
      assertThat(small.usage()).isEqualTo(new MemoryUsage(4L << 20, 4L << 20, 4L << 20, 4L << 20));
      assertThat(used.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 7);
    }
  }

  @Test
  void whatTheSystemRefusesLeavesTheCountsAlone() {
    try (HostMemory unlimited = new HostMemory(Long.MAX_VALUE)) {
      assertThatThrownBy(() -> unlimited.acquire(1L << 60))
          .isInstanceOf(OutOfMemoryException.class)
          .hasCauseInstanceOf(OutOfMemoryError.class)
          .hasMessageContaining("no room for 1099511627776 MiB");
      assertThat(unlimited.usage()).isEqualTo(new MemoryUsage(0, 0, 0, Long.MAX_VALUE));
    }
  }
}
