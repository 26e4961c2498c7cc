package dev.gptq.simd;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed set of threads that run the numbered tasks of one operation at a time; the caller is one
 * of them. Operations cut their work into tasks that write disjoint results, or partial sums that
 * the caller adds in order of the tasks: which worker takes which task never shows in the bits. The
 * caller waits for tasks, not for workers: one that a busy machine does not run in time is not
 * missed.
 */
final class WorkerPool implements AutoCloseable {

  /** One task of an operation. Must not call the pool. */
  interface Task {
    /** Runs task {@code index} on worker {@code worker}, which owns the scratch of that number. */
    void run(int index, int worker);
  }

  // An operation follows the last within microseconds; waking a parked thread costs about 50.
  private static final int SPINS = 4_000;

  /** The tasks of one operation, and how far they are. */
  private static final class Job {
    private final Task task;
    private final int count;
    private final Thread caller = Thread.currentThread();
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger finished = new AtomicInteger();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    Job(Task task, int count) {
      this.task = task;
      this.count = count;
    }

    /** Runs tasks until none is left to begin. */
    void drain(int worker) {
      for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
        try {
          task.run(i, worker);
        } catch (RuntimeException | Error e) {
          failure.compareAndSet(null, e);
          // Those that nobody has begun count as finished.
          finished.addAndGet(Math.max(0, count - next.getAndSet(count)));
        }
        if (finished.incrementAndGet() == count && worker != 0) {
          LockSupport.unpark(caller);
        }
      }
    }

    void await() {
      for (int spin = 0; finished.get() < count; spin++) {
        pause(spin);
      }
      Throwable thrown = failure.get();
      if (thrown instanceof Error error) {
        throw error;
      } else if (thrown instanceof RuntimeException exception) {
        throw exception;
      }
    }
  }

  private final int workers;
  private final Thread[] threads;
  private volatile boolean closed;
  private volatile Job current;

  WorkerPool(int workers) {
    this.workers = workers;
    this.threads = new Thread[workers - 1];
    for (int i = 0; i < threads.length; i++) {
      int worker = i + 1;
      threads[i] =
          Thread.ofPlatform().daemon().name("gptq-simd-" + worker).start(() -> serve(worker));
    }
  }

  /** Number of workers, the caller included. */
  int workers() {
    return workers;
  }

  /** Runs tasks 0 … tasks − 1 and returns when all are done; rethrows what one of them threw. */
  void forEach(int tasks, Task body) {
    if (tasks <= 1 || workers == 1) {
      for (int i = 0; i < tasks; i++) {
        body.run(i, 0);
      }
      return;
    }
    Job job = new Job(body, tasks);
    current = job;
    for (int i = 0; i < Math.min(threads.length, tasks - 1); i++) {
      LockSupport.unpark(threads[i]);
    }
    job.drain(0);
    job.await();
    current = null;
  }

  @Override
  public void close() {
    closed = true;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
  }

  private void serve(int worker) {
    Job done = null;
    while (!closed) {
      Job job = current;
      for (int spin = 0; (job == null || job == done) && !closed; spin++) {
        pause(spin);
        job = current;
      }
      if (job != null) {
        job.drain(worker);
        done = job;
      }
    }
  }

  private static void pause(int spin) {
    if (spin < SPINS) {
      Thread.onSpinWait();
    } else {
      LockSupport.park();
    }
  }
}
