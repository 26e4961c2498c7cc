package dev.gptq.backend;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
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
  private final List<OwnThread> lanes = new ArrayList<>();

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
      lanes.add(lane(lanes.size()));
    }
    Job<T> job = new Job<>(tasks);
    List<Future<?>> running = new ArrayList<>();
    try {
      for (OwnThread lane : lanes.subList(0, used)) {
        running.add(lane.start(job::drain));
      }
      // Tasks begin in order, so that none is waited for that a failure has kept from beginning.
      job.results.forEach(result -> results.accept(OwnThread.result(result)));
    } finally {
      job.stop();
      running.forEach(OwnThread::result);
    }
  }

  /** Opens a lane. */
  private OwnThread lane(int index) {
    OwnThread lane = OwnThread.open("gptq-lane-" + index, backend::newLane);
    boolean opened = false;
    try {
      OwnThread.result(lane.backend());
      opened = true;
      return lane;
    } finally {
      if (!opened) {
        lane.close();
      }
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
