package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class BackgroundStoreTest {
  private static final ImmutableMap<String, QuantizedModule> NOTHING = ImmutableMap.of();

  /** Keeps the numbers of blocks once it may, and fails at block 1. */
  private static final class SlowStore implements BlockStore {
    private final CountDownLatch mayWrite = new CountDownLatch(1);
    private final List<Integer> kept = new ArrayList<>();

    @Override
    public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
      return block == 7 ? Optional.of(NOTHING) : Optional.empty();
    }

    @Override
    public void put(int block, ImmutableMap<String, QuantizedModule> modules) {
      try {
        mayWrite.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      if (block == 1) {
        throw new UncheckedIOException(new IOException("disk full"));
      }
      kept.add(block);
    }
  }

  @Test
  void goesOnWhileABlockIsWritten() {
    SlowStore slow = new SlowStore();
    try (BackgroundStore store = new BackgroundStore(slow)) {
      store.put(0, NOTHING);
      assertThat(store.find(7)).contains(NOTHING);
      assertThat(store.find(1)).isEmpty();
      slow.mayWrite.countDown();
      store.put(2, NOTHING);
    }
    assertThat(slow.kept).containsExactly(0, 2);
  }

  @Test
  void failureIsThrownByTheNextBlock() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    try (BackgroundStore store = new BackgroundStore(slow)) {
      store.put(0, NOTHING);
      store.put(1, NOTHING);
      assertThatThrownBy(() -> store.put(2, NOTHING)).hasMessageContaining("disk full");
    }
    assertThat(slow.kept).containsExactly(0);
  }

  @Test
  void failureOfTheLastBlockIsThrownAtTheEnd() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    BackgroundStore store = new BackgroundStore(slow);
    store.put(1, NOTHING);
    assertThatThrownBy(store::close).hasMessageContaining("disk full");
  }
}
