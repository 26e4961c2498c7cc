package dev.gptq.backend;

import com.google.common.base.Throwables;
import com.google.common.util.concurrent.MoreExecutors;
import com.google.common.util.concurrent.Uninterruptibles;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Runs independent tasks side by side, each on one of the lanes of a backend. A lane has a thread
 * of its own; lanes are opened when they are first needed. A task may read tensors of the backend
 * that no other task writes, and write those that no other task touches.
 */
public final class LaneGroup implements AutoCloseable {
  /** Tasks that run at the same time at most, which bounds the memory that they hold together. */
  public static final int MOST = 16;

  /** A lane and the thread to which it belongs. */
  private record Lane(ExecutorService thread, Backend backend) {
    static Lane open(Backend parent, int index) {
      ExecutorService thread =
          Executors.newSingleThreadExecutor(
              Thread.ofPlatform().daemon().name("gptq-lane-" + index).factory());
      try {
        return new Lane(thread, result(thread.submit(parent::newLane)));
      } catch (Throwable e) {
        thread.shutdown();
        throw e;
      }
    }

    void close() {
      try {
        result(thread.submit(backend::close, null));
      } finally {
        MoreExecutors.shutdownAndAwaitTermination(thread, Duration.ofMinutes(1));
      }
    }
  }

  /** Tasks that lanes take in turns. */
  private static final class Job<T> {
    private final List<Function<Backend, T>> tasks;
    private final List<CompletableFuture<T>> results;
    private final AtomicInteger next = new AtomicInteger();

    Job(List<Function<Backend, T>> tasks) {
      this.tasks = tasks;
      this.results = Stream.generate(CompletableFuture<T>::new).limit(tasks.size()).toList();
    }

    /** Runs tasks until none is left or one has failed. */
    void drain(Backend lane) {
      for (int i = next.getAndIncrement(); i < tasks.size(); i = next.getAndIncrement()) {
        try {
          T result = tasks.get(i).apply(lane);
          lane.synchronize();
          results.get(i).complete(result);
        } catch (RuntimeException | Error e) {
          stop();
          awaitAfter(lane, e);
          results.get(i).completeExceptionally(e);
        }
      }
    }

    /** Lets no task begin any more. */
    void stop() {
      next.set(tasks.size());
    }

    /** What a failed task has queued must not outlive the tensors it was given. */
    private static void awaitAfter(Backend lane, Throwable failure) {
      try {
        lane.synchronize();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
    }
  }

  private final Backend backend;
  private final int most;
  private final List<Lane> lanes = new ArrayList<>();

  /**
   * As many lanes as the backend finds worth having, up to {@link #MOST}. The backend's thread is
   * to use the group.
   */
  public LaneGroup(Backend backend) {
    this(backend, Math.min(MOST, backend.lanes()));
  }

  /** At most that many lanes; one lane is the backend itself. */
  public LaneGroup(Backend backend, int most) {
    this.backend = backend;
    this.most = most;
  }

  /**
   * Runs all tasks and passes their results on, in the order of the tasks and on the calling
   * thread, each as soon as it and those before it are there. A single task runs on the backend
   * itself. If tasks fail, no others begin, those that run are waited for, and the failure of the
   * first is thrown.
   */
  public <T> void run(List<Function<Backend, T>> tasks, Consumer<T> results) {
    int used = Math.min(most, tasks.size());
    if (backend instanceof Rehearsal rehearsal) {
      rehearsal.sideBySide(tasks, used, results);
      return;
    }
    if (used <= 1) {
      tasks.forEach(task -> results.accept(task.apply(backend)));
      return;
    }
    backend.synchronize();
    while (lanes.size() < used) {
      lanes.add(Lane.open(backend, lanes.size()));
    }
    Job<T> job = new Job<>(tasks);
    List<Future<?>> running = new ArrayList<>();
    try {
      for (Lane lane : lanes.subList(0, used)) {
        running.add(lane.thread().submit(() -> job.drain(lane.backend())));
      }
      // Tasks begin in order, so that none is waited for that a failure has kept from beginning.
      job.results.forEach(result -> results.accept(result(result)));
    } finally {
      job.stop();
      running.forEach(LaneGroup::result);
    }
  }

  private static <T> T result(Future<T> future) {
    try {
      return Uninterruptibles.getUninterruptibly(future);
    } catch (ExecutionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw new IllegalStateException(e.getCause());
    }
  }

  /** Closes the lanes. */
  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      lanes.forEach(lane -> all.add(lane::close));
      lanes.clear();
    }
  }
}
