package dev.gptq.hub;

import com.google.common.base.Throwables;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Runs tasks side by side. The first failure ends all and is thrown. */
final class Parallel {
  /** Something that may fail as input and output do. */
  @FunctionalInterface
  interface Task {
    void run() throws IOException;
  }

  private Parallel() {}

  static void run(List<? extends Task> tasks) throws IOException {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      CompletionService<Void> done = new ExecutorCompletionService<>(threads);
      for (Task task : tasks) {
        done.submit(callable(task));
      }
      try {
        for (int i = 0; i < tasks.size(); i++) {
          done.take().get();
        }
      } catch (InterruptedException e) {
        threads.shutdownNow();
        throw Attempts.interrupted(e);
      } catch (ExecutionException e) {
        threads.shutdownNow();
        Throwables.throwIfInstanceOf(e.getCause(), IOException.class);
        Throwables.throwIfUnchecked(e.getCause());
        throw new AssertionError(e.getCause());
      }
    }
  }

  private static Callable<Void> callable(Task task) {
    return () -> {
      task.run();
      return null;
    };
  }
}
