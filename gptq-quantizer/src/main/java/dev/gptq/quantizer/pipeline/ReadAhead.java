package dev.gptq.quantizer.pipeline;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Reads what will be needed next on a thread of its own. What goes wrong is thrown by {@link
 * #await}.
 */
final class ReadAhead implements AutoCloseable {
  private final ExecutorService reader =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().name("read-ahead").factory());
  private Future<?> reading = CompletableFuture.completedFuture(null);

  /** Begins to read. */
  void start(Runnable read) {
    reading = reader.submit(read);
  }

  /** Waits until all is read. */
  void await() {
    Waiting.waitFor(reading, "weights were being read");
  }

  /** Waits until nothing reads any more. */
  @Override
  public void close() {
    reader.close();
  }
}
