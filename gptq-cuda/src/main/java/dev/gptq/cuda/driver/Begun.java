package dev.gptq.cuda.driver;

import com.google.common.base.Throwables;
import com.google.common.util.concurrent.Uninterruptibles;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** Work that was begun on a thread of its own while the backend opens. */
public final class Begun<T> {
  private final FutureTask<T> task;
  private final Thread thread;

  private Begun(FutureTask<T> task, Thread thread) {
    this.task = task;
    this.thread = thread;
  }

  /** Begins some work. */
  public static <T> Begun<T> of(String thread, Callable<T> work) {
    FutureTask<T> task = new FutureTask<>(work);
    return new Begun<>(task, Thread.ofPlatform().daemon().name(thread).start(task));
  }

  /** Waits until it has ended, whatever came of it. */
  public void await() {
    Uninterruptibles.joinUninterruptibly(thread);
  }

  /** What it returned, or throws what it threw. */
  public T result() {
    try {
      return Uninterruptibles.getUninterruptibly(task);
    } catch (ExecutionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    }
  }
}
