package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What a missing wait looks like on the emulated device. */
final class PendingCopiesTest {
  private final PendingCopies copies = new PendingCopies();
  private final byte[] host = new byte[4];
  private final MemorySegment device = MemorySegment.ofArray(new byte[] {1, 2, 3, 4});

  @Test
  void whatComesIsNotThereBeforeTheWait() {
    copies.toHost(1, MemorySegment.ofArray(host), device);
    device.fill((byte) 9);
    copies.await(2);
    assertThat(host).doesNotContain(1, 2, 3, 4);
    copies.await(1);
    assertThat(host).containsExactly(1, 2, 3, 4);
  }

  @Test
  void eventsWaitForWhatWasQueuedBefore() {
    byte[] later = new byte[4];
    copies.toHost(1, MemorySegment.ofArray(host), device);
    copies.record(7, 1);
    copies.toHost(1, MemorySegment.ofArray(later), device);
    copies.awaitEvent(8);
    copies.awaitEvent(7);
    assertThat(host).containsExactly(1, 2, 3, 4);
    assertThat(later).doesNotContain(1, 2, 3, 4);
  }

  @Test
  void whatLeavesArrivesForItsStreamAlone() {
    byte[] memory = new byte[4];
    copies.toDevice(1, device, MemorySegment.ofArray(memory));
    copies.arrive(2);
    assertThat(memory).doesNotContain(1, 2, 3, 4);
    assertThatThrownBy(() -> copies.release(MemorySegment.ofArray(memory)))
        .hasMessageContaining("another stream copies");
    copies.arrive(1);
    assertThat(memory).containsExactly(1, 2, 3, 4);
    copies.release(MemorySegment.ofArray(memory));
  }

  @Test
  void whatLeavesMustNotChange() {
    copies.toDevice(1, MemorySegment.ofArray(host), device);
    copies.await(1);
    host[0] = 1;
    copies.toDevice(1, MemorySegment.ofArray(host), device);
    Arrays.fill(host, (byte) 5);
    assertThatThrownBy(() -> copies.await(1)).hasMessageContaining("changed before it was copied");
  }
}
