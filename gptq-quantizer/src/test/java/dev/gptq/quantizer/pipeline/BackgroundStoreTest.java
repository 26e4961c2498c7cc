package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.ModuleSolve.Solved;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class BackgroundStoreTest {
  private static final ImmutableMap<String, QuantizedModule> NOTHING = ImmutableMap.of();
  private static final PackedMatrix PACKED =
      new PackedMatrix(
          Scheme.SYMMETRIC,
          4,
          1,
          8,
          1,
          MemorySegment.ofArray(new int[1]),
          MemorySegment.ofArray(new float[1]),
          Optional.empty(),
          Optional.empty());

  /** Tells what it did once it may do something, and fails at modules called "bad". */
  private static final class SlowStore implements BlockStore {
    private final CountDownLatch mayWrite = new CountDownLatch(1);
    private final CountDownLatch wrote = new CountDownLatch(1);
    private final List<String> done = new CopyOnWriteArrayList<>();

    @Override
    public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
      return block == 7 ? Optional.of(NOTHING) : Optional.empty();
    }

    @Override
    public BlockSink begin(int block) {
      return new BlockSink() {
        @Override
        public void add(List<QuantizedModule> modules) {
          await(mayWrite);
          for (QuantizedModule module : modules) {
            String name = module.report().name();
            if (name.equals("bad")) {
              throw new UncheckedIOException(new IOException("disk full"));
            }
            done.add(block + " " + name);
          }
          wrote.countDown();
        }

        @Override
        public void finish() {
          done.add(block + " whole");
        }

        @Override
        public void close() {
          done.add(block + " closed");
        }
      };
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private static Solved module(String name, CompletableFuture<PackedMatrix> packed) {
    return new Solved(
        null,
        packed,
        new ModuleReport(0, name, name, 1, 8, 4, 8, true, 0, 0, 0, 0, 0.01, 1, "", 0));
  }

  private static Solved module(String name) {
    return module(name, CompletableFuture.completedFuture(PACKED));
  }

  private static void keep(BackgroundStore store, int index, String... names) {
    try (BackgroundStore.Block block = store.begin(index)) {
      for (String name : names) {
        block.add(module(name));
      }
      block.finish();
    }
  }

  @Test
  void goesOnWhileABlockIsWritten() {
    SlowStore slow = new SlowStore();
    try (BackgroundStore store = new BackgroundStore(slow)) {
      keep(store, 0, "q", "k");
      assertThat(store.find(7)).contains(NOTHING);
      assertThat(store.find(1)).isEmpty();
      assertThat(slow.done).isEmpty();
      slow.mayWrite.countDown();
      keep(store, 1);
      keep(store, 2, "v");
    }
    assertThat(slow.done)
        .containsExactly(
            "0 q",
            "0 k",
            "0 whole",
            "0 closed",
            "1 whole",
            "1 closed",
            "2 v",
            "2 whole",
            "2 closed");
  }

  @Test
  void modulesAreWrittenBeforeTheirBlockIsWhole() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    try (BackgroundStore store = new BackgroundStore(slow);
        BackgroundStore.Block block = store.begin(0)) {
      block.add(module("q"));
      await(slow.wrote);
      assertThat(slow.done).containsExactly("0 q");
      block.finish();
      store.flush();
      assertThat(slow.done).containsExactly("0 q", "0 whole", "0 closed");
    }
  }

  @Test
  void modulesStayInOrderWhoeverIsPackedFirst() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    CompletableFuture<PackedMatrix> late = new CompletableFuture<>();
    try (BackgroundStore store = new BackgroundStore(slow);
        BackgroundStore.Block block = store.begin(0)) {
      block.add(module("late", late));
      block.add(module("early"));
      late.complete(PACKED);
      block.finish();
    }
    assertThat(slow.done).startsWith("0 late", "0 early", "0 whole");
  }

  @Test
  void aBlockThatIsGivenUpIsClosedOnly() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    try (BackgroundStore store = new BackgroundStore(slow)) {
      keep(store, 0, "q");
      try (BackgroundStore.Block block = store.begin(1)) {
        block.add(module("q"));
        store.flush();
      }
    }
    assertThat(slow.done).containsExactly("0 q", "0 whole", "0 closed", "1 q", "1 closed");
  }

  @Test
  void failureIsThrownByWhatComesNext() {
    SlowStore slow = new SlowStore();
    slow.mayWrite.countDown();
    try (BackgroundStore store = new BackgroundStore(slow)) {
      keep(store, 0, "q");
      assertThatThrownBy(
              () -> {
                keep(store, 1, "bad", "k");
                keep(store, 2, "v");
              })
          .hasMessageContaining("disk full");
    }
    assertThat(slow.done).containsExactly("0 q", "0 whole", "0 closed", "1 closed");
  }

  @Test
  void failureOfTheLastBlockIsThrownAtTheEnd() {
    SlowStore slow = new SlowStore();
    BackgroundStore store = new BackgroundStore(slow);
    keep(store, 1, "bad");
    slow.mayWrite.countDown();
    assertThatThrownBy(store::close).hasMessageContaining("disk full");
    assertThat(slow.done).containsExactly("1 closed");
  }
}
