package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.quantizer.pipeline.ModuleSolve.Solved;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Keeps modules in another store on a thread of its own as they are quantized, so that neither the
 * next of them nor the next block need wait for the disk. Modules of two blocks at most wait to be
 * kept. A failure is thrown by whatever is called next, and once.
 */
final class BackgroundStore implements AutoCloseable {
  private static final String DOING = "a block was being written";
  private static final CompletableFuture<?> NOTHING = CompletableFuture.completedFuture(null);

  private final BlockStore store;
  private final ExecutorService writer =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("block-writer").factory());

  /** All that the writer has been told to do: what follows a failure is not done. */
  private CompletableFuture<?> steps = NOTHING;

  /** The end of the last block that was finished. */
  private CompletableFuture<?> finished = NOTHING;

  /** Of the block that is being written; used on the writer's thread while there is one. */
  private Optional<BlockSink> sink = Optional.empty();

  BackgroundStore(BlockStore store) {
    this.store = store;
  }

  /** Looks while an earlier block may still be on its way to the store. */
  Optional<ImmutableMap<String, QuantizedModule>> find(int block) {
    return store.find(block);
  }

  /** Begins to keep a block. The one before has been finished. */
  Block begin(int block) {
    return new Block(block);
  }

  /** A block that is being quantized. */
  final class Block implements AutoCloseable {
    private final int index;
    private final Queue<Solved> waiting = new ConcurrentLinkedQueue<>();
    private boolean whole;

    private Block(int index) {
      this.index = index;
    }

    /** Keeps a module, which may still be being packed, behind those that came before. */
    void add(Solved module) {
      throwFailure();
      waiting.add(module);
      later(this::write);
    }

    /** Says that all modules have come, and waits for the block before. */
    void finish() {
      Waiting.waitFor(finished.handle((_, _) -> null), DOING);
      throwFailure();
      later(this::end);
      finished = steps;
      whole = true;
    }

    /** Forgets what has not been kept. */
    @Override
    public void close() {
      if (!whole) {
        waiting.clear();
      }
    }

    /** Keeps as many modules as are there, at least one: what they have in common is done once. */
    private void write() {
      List<QuantizedModule> come = new ArrayList<>();
      Solved next = waiting.poll();
      while (next != null) {
        come.add(new QuantizedModule(next.packed().join(), next.report()));
        Solved following = waiting.peek();
        next = following != null && following.packed().isDone() ? waiting.poll() : null;
      }
      if (!come.isEmpty()) {
        kept().add(come);
      }
    }

    private void end() {
      kept().finish();
      closeSink();
    }

    private BlockSink kept() {
      if (sink.isEmpty()) {
        sink = Optional.of(store.begin(index));
      }
      return sink.get();
    }
  }

  private void later(Runnable step) {
    steps = steps.thenRunAsync(step, writer);
  }

  private void closeSink() {
    sink.ifPresent(BlockSink::close);
    sink = Optional.empty();
  }

  private void throwFailure() {
    if (steps.isCompletedExceptionally()) {
      flush();
    }
  }

  /** Waits until all modules that have come are kept. */
  void flush() {
    CompletableFuture<?> awaited = steps;
    // A failure is reported once.
    steps = NOTHING;
    finished = NOTHING;
    Waiting.waitFor(awaited, DOING);
  }

  /** Waits until all blocks that were finished are kept, and ends. */
  @Override
  public void close() {
    try {
      flush();
    } finally {
      writer.close();
      closeSink();
    }
  }
}
