package dev.gptq.simd;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed set of threads that run the numbered tasks of one operation at a time; the caller is one
 * of them. Operations cut their work into tasks that write disjoint results, or partial sums that
 * the caller adds in order of the tasks: which worker takes which task never shows in the bits.
 */
final class WorkerPool implements AutoCloseable {

  /** One task of an operation. Must not call the pool. */
  interface Task {
    /** Runs task {@code index} on worker {@code worker}, which owns the scratch of that number. */
    void run(int index, int worker);
  }

  // An operation follows the last within microseconds; waking a parked thread costs about 50.
  private static final int SPINS = 2_000;

  private final int workers;
  private final Thread[] threads;
  private final AtomicInteger round = new AtomicInteger();
  private final AtomicInteger next = new AtomicInteger();
  private final AtomicInteger running = new AtomicInteger();
  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private volatile boolean closed;
  private Task task;
  private int count;
  private Thread caller;

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
    task = body;
    count = tasks;
    caller = Thread.currentThread();
    next.set(0);
    running.set(threads.length);
    round.incrementAndGet();
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
    drain(0);
    for (int spin = 0; running.get() > 0; spin++) {
      pause(spin);
    }
    task = null;
    rethrow();
  }

  @Override
  public void close() {
    closed = true;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
  }

  private void serve(int worker) {
    int seen = 0;
    while (true) {
      for (int spin = 0; round.get() == seen && !closed; spin++) {
        pause(spin);
      }
      if (closed) {
        return;
      }
      seen = round.get();
      drain(worker);
      if (running.decrementAndGet() == 0) {
        LockSupport.unpark(caller);
      }
    }
  }

  private void drain(int worker) {
    try {
      for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
        task.run(i, worker);
      }
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
      next.set(count);
    }
  }

  private static void pause(int spin) {
    if (spin < SPINS) {
      Thread.onSpinWait();
    } else {
      LockSupport.park();
    }
  }

  private void rethrow() {
    Throwable thrown = failure.getAndSet(null);
    if (thrown instanceof Error error) {
      throw error;
    } else if (thrown instanceof RuntimeException exception) {
      throw exception;
    }
  }
}
