package dev.gptq.quantizer.pipeline;

import com.google.common.base.Throwables;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
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
    try {
      reading.get();
    } catch (ExecutionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while weights were being read", e);
    }
  }

  /** Waits until nothing reads any more. */
  @Override
  public void close() {
    reader.close();
  }
}
