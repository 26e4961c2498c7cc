package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Keeps finished blocks in another store on a thread of its own, so that the next block need not
 * wait for the disk. One block at most waits to be kept. A failure is thrown by the next {@link
 * #put}, or by {@link #close}.
 */
final class BackgroundStore implements BlockStore, AutoCloseable {
  private final BlockStore store;
  private final ExecutorService writer =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("block-writer").factory());
  private Future<?> last = CompletableFuture.completedFuture(null);

  BackgroundStore(BlockStore store) {
    this.store = store;
  }

  /** Looks while an earlier block may still be on its way to the store. */
  @Override
  public Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    return store.find(block);
  }

  @Override
  public void put(int block, ImmutableMap<String, QuantizedModule> modules) {
    flush();
    last = writer.submit(() -> store.put(block, modules));
  }

  /** Waits until all blocks are kept, and ends. */
  @Override
  public void close() {
    try {
      flush();
    } finally {
      writer.close();
    }
  }

  /** Waits until all blocks are kept. */
  void flush() {
    Future<?> awaited = last;
    // A failure is reported once.
    last = CompletableFuture.completedFuture(null);
    Waiting.waitFor(awaited, "a block was being written");
  }
}
