package dev.gptq.backend;

import com.google.common.base.Throwables;
import com.google.common.util.concurrent.MoreExecutors;
import com.google.common.util.concurrent.Uninterruptibles;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Function;

/** A backend on a thread of its own, to which it belongs; it may have failed to open. */
record OwnThread(ExecutorService thread, Future<Backend> backend) {

  /** Begins to open a backend on a new thread of that name. */
  static OwnThread open(String name, Callable<Backend> opening) {
    ExecutorService thread =
        Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name(name).factory());
    return new OwnThread(thread, thread.submit(opening));
  }

  /** Begins some work, behind what began before; the backend is open. */
  <T> Future<T> submit(Function<Backend, T> work) {
    return thread.submit(() -> work.apply(backend.resultNow()));
  }

  /** The same for work without a result. */
  Future<?> start(Consumer<Backend> work) {
    return thread.submit(() -> work.accept(backend.resultNow()));
  }

  /** Closes the backend, if it was opened, and ends its thread. */
  void close() {
    try {
      result(
          thread.submit(() -> {
            if (backend.state() == Future.State.SUCCESS) {
              backend.resultNow().close();
            }
          }));
    } finally {
      MoreExecutors.shutdownAndAwaitTermination(thread, Duration.ofMinutes(1));
    }
  }

  /** Waits for a result, and throws what was thrown in its place. */
  static <T> T result(Future<T> future) {
    try {
      return Uninterruptibles.getUninterruptibly(future);
    } catch (ExecutionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    }
  }
}
