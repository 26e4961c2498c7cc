package dev.gptq.quantizer.run;

import com.google.common.base.Throwables;
import com.google.common.util.concurrent.Uninterruptibles;
import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** Something that is found out on a thread of its own. Closing it waits until that has ended. */
final class Beside<T> implements AutoCloseable {
  private final FutureTask<T> task;
  private final Thread thread;

  private Beside(FutureTask<T> task, Thread thread) {
    this.task = task;
    this.thread = thread;
  }

  /** Begins. */
  static <T> Beside<T> begin(String thread, Callable<T> finding) {
    FutureTask<T> task = new FutureTask<>(finding);
    return new Beside<>(task, Thread.ofPlatform().daemon().name(thread).start(task));
  }

  /** Waits for it, and throws what was thrown in its place. */
  T result() throws IOException {
    try {
      return Uninterruptibles.getUninterruptibly(task);
    } catch (ExecutionException e) {
      Throwables.throwIfInstanceOf(e.getCause(), IOException.class);
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    Uninterruptibles.joinUninterruptibly(thread);
  }
}
