package dev.gptq.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Threads that read memory side by side: each forms the dot product of its part of two vectors. One
 * reader alone does not fill the channels that two can.
 */
final class Readers implements AutoCloseable {
  private static final int ALIGNMENT = 1 << 14;

  private final OpenBlas blas;
  private final int count;
  private final ExecutorService threads;

  Readers(OpenBlas blas, int count) {
    this.blas = blas;
    this.count = count;
    this.threads = Executors.newFixedThreadPool(count);
  }

  /** How many there are. */
  int count() {
    return count;
  }

  /** Reads n floats of each vector. */
  void read(int n, MemorySegment x, MemorySegment y) {
    int part = (n / count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    List<Future<Float>> sums = new ArrayList<>();
    for (int from = 0; from < n; from += part) {
      int start = from;
      int size = Math.min(part, n - from);
      sums.add(
          threads.submit(() ->
              blas.dot(size, x.asSlice(4L * start, 4L * size), y.asSlice(4L * start, 4L * size))));
    }
    for (Future<Float> sum : sums) {
      try {
        sum.get();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      } catch (ExecutionException e) {
        throw new IllegalStateException(e.getCause());
      }
    }
  }

  @Override
  public void close() {
    threads.shutdown();
  }
}
