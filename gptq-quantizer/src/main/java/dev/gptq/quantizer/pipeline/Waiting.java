package dev.gptq.quantizer.pipeline;

import com.google.common.base.Throwables;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

/** Waits for work on another thread. */
public final class Waiting {
  private Waiting() {}

  /**
   * Waits until work is done, and throws what it threw.
   *
   * @param doing what is said where this thread is interrupted, such as "weights were being read"
   */
  public static void waitFor(Future<?> work, String doing) {
    try {
      work.get();
    } catch (ExecutionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while " + doing, e);
    }
  }
}
