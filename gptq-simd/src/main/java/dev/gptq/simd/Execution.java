package dev.gptq.simd;

import dev.gptq.simd.kernels.DenseKernels;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** What every operation runs with: the workers, their scratch, the matrix product. */
final class Execution implements AutoCloseable {
  private final WorkerPool pool;
  private final Workspace workspace;
  private final Gemm gemm;
  private final WorkerPool alone = new WorkerPool(1);
  private final Workspace[] ownWorkspaces;
  private final Gemm[] serial;

  Execution(int threads) {
    this(threads, new AtomicLong(), Optional.empty());
  }

  /**
   * With products by kernels outside of Java, if there are some.
   *
   * @param scratch counts the bytes of scratch that this and others hold together
   */
  Execution(int threads, AtomicLong scratch, Optional<DenseKernels> kernels) {
    workspace = new Workspace(scratch);
    pool = new WorkerPool(threads);
    gemm = new Gemm(pool, workspace, kernels);
    ownWorkspaces = new Workspace[threads];
    serial = new Gemm[threads];
    for (int i = 0; i < threads; i++) {
      ownWorkspaces[i] = new Workspace(scratch);
      serial[i] = new Gemm(alone, ownWorkspaces[i], kernels);
    }
  }

  WorkerPool pool() {
    return pool;
  }

  Workspace workspace() {
    return workspace;
  }

  /** Products by all workers together. */
  Gemm gemm() {
    return gemm;
  }

  /** Products within a task of the given worker. */
  Gemm serial(int worker) {
    return serial[worker];
  }

  /** Runs {@code body} on the ranges of {@code step} numbers that make up 0 … count − 1. */
  void forRanges(int count, int step, Range body) {
    pool.forEach(
        (count + step - 1) / step,
        (i, worker) -> body.run(i * step, Math.min(count, (i + 1) * step)));
  }

  /** Adds the sums of all ranges in their order, so that the result does not depend on workers. */
  double sumRanges(int count, int step, RangeSum body) {
    double[] sums = new double[(count + step - 1) / step];
    pool.forEach(
        sums.length, (i, worker) -> sums[i] = body.run(i * step, Math.min(count, (i + 1) * step)));
    double total = 0;
    for (double sum : sums) {
      total += sum;
    }
    return total;
  }

  /** Work on the numbers {@code from} to {@code to} (exclusive). */
  interface Range {
    void run(int from, int to);
  }

  /** A sum over the numbers {@code from} to {@code to} (exclusive). */
  interface RangeSum {
    double run(int from, int to);
  }

  @Override
  public void close() {
    pool.close();
    workspace.close();
    for (Workspace own : ownWorkspaces) {
      own.close();
    }
  }
}
