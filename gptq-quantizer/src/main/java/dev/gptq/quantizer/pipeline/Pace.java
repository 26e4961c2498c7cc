package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Work;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * How fast a backend works, by a probe of some seconds. Each operation runs on larger and larger
 * inputs until it takes {@value #LONG_ENOUGH} seconds, and counts at that size. A cold JVM is a
 * thousand times slower than a warm one: all is measured again until it no longer gets faster.
 *
 * @param perProduct32 seconds of a multiply-add of a product in float32
 * @param perProduct16 the same in the type of activations
 * @param perStep seconds of a multiply-add of a loop over columns
 * @param perTrial seconds of a weight that is rounded on trial
 * @param perByte seconds of a byte that is read or written
 * @param perCall seconds of an operation on next to nothing
 */
public record Pace(
    double perProduct32,
    double perProduct16,
    double perStep,
    double perTrial,
    double perByte,
    double perCall) {
  /** About that of two cores with AVX-512, without a probe. */
  public static final Pace TWO_CORES = new Pace(1e-10, 1e-10, 5e-10, 2e-9, 2e-10, 1e-6);

  private static final double LONG_ENOUGH = 0.02;
  private static final double FASTER = 0.7;
  private static final double SHORTEST_PROBE = 2;
  private static final double LONGEST_PROBE = 10;
  private static final int RUNS = 3;
  private static final int SMALLEST = 16;
  private static final int LARGEST = 4096;
  private static final int GROWTH = 4;
  private static final int BLOCK = 128;
  private static final int CALLS = 200;

  /** An operation on inputs of a size. */
  private interface Probe {
    /** Queues the operation on n × n numbers, or n rows, allocated in {@code scope}. */
    Runnable prepare(int n, TensorScope scope);
  }

  /**
   * Measures a backend.
   *
   * @param work for which its pace is wanted
   */
  public static Pace of(Backend backend, Work work) {
    Pace best = once(backend);
    double spent = 0;
    double improved = 0;
    // Kernels are compiled in the background: as long again without getting faster is enough.
    while (spent < SHORTEST_PROBE || (spent < 2 * improved && spent < LONGEST_PROBE)) {
      long start = System.nanoTime();
      Pace next = once(backend);
      spent += (System.nanoTime() - start) / 1e9;
      if (next.seconds(work) < FASTER * best.seconds(work)) {
        improved = spent;
      }
      if (next.seconds(work) < best.seconds(work)) {
        best = next;
      }
    }
    return best;
  }

  private static Pace once(Backend backend) {
    DType activations = backend.activationType();
    double product32 = perProduct(backend, DType.F32);
    return new Pace(
        product32,
        activations == DType.F32 ? product32 : perProduct(backend, activations),
        perStep(backend),
        perTrial(backend),
        perByte(backend),
        perCall(backend));
  }

  /** About how many seconds work takes. */
  public double seconds(Work work) {
    return work.products32() * perProduct32
        + work.products16() * perProduct16
        + work.steps() * perStep
        + work.trials() * perTrial
        + work.moved() * perByte
        + work.calls() * perCall;
  }

  private static double perProduct(Backend backend, DType type) {
    Measured measured =
        measure(
            backend,
            (n, scope) -> {
              Tensor a = scope.zeros(type, n, n, Layout.ROW_MAJOR);
              Tensor b = scope.zeros(type, n, n, Layout.COLUMN_MAJOR);
              Tensor c = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
              return () -> backend.linalg().gemm(1, a, b, 0, c);
            });
    return measured.seconds() / ((double) measured.n() * measured.n() * measured.n());
  }

  private static double perStep(Backend backend) {
    Measured measured =
        measure(
            backend,
            (n, scope) -> {
              Tensor w = scope.filled(1, n, BLOCK);
              Tensor u = scope.filled(1, BLOCK, BLOCK).transposed();
              Grid grid = grid(n, scope);
              Tensor codes = scope.columnMajor(DType.U8, n, BLOCK);
              return () -> backend.quantization().quantizeBlock(w, u, grid, codes);
            });
    return measured.seconds() / (measured.n() * (BLOCK * (double) BLOCK / 2));
  }

  private static double perTrial(Backend backend) {
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    GridLadder ladder = GridLadder.of(spec, GridLadder.COARSE, false);
    Measured measured =
        measure(
            backend,
            (n, scope) -> {
              Tensor w = scope.filled(1, n, BLOCK);
              Tensor weight = scope.filled(1, BLOCK, 1).transposed();
              Grid grid = grid(n, scope);
              return () ->
                  backend
                      .quantization()
                      .fitGridWeighted(w, weight, spec, ladder, grid.scale(), grid.zero());
            });
    return measured.seconds() / ((double) measured.n() * BLOCK * ladder.rungs().size());
  }

  private static double perByte(Backend backend) {
    Measured measured =
        measure(
            backend,
            (n, scope) -> {
              Tensor x = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
              Tensor y = scope.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
              return () -> backend.linalg().axpy(1, x, y);
            });
    return measured.seconds() / (2.0 * Float.BYTES * measured.n() * measured.n());
  }

  private static double perCall(Backend backend) {
    try (TensorScope scope = backend.newScope()) {
      Tensor x = scope.zeros(DType.F32, 1, 1, Layout.ROW_MAJOR);
      Tensor y = scope.zeros(DType.F32, 1, 1, Layout.ROW_MAJOR);
      double best = Double.POSITIVE_INFINITY;
      for (int i = 0; i < 3; i++) {
        best =
            Math.min(
                best,
                seconds(
                    backend,
                    () -> {
                      for (int call = 0; call < CALLS; call++) {
                        backend.linalg().axpy(1, x, y);
                      }
                    }));
      }
      return best / CALLS;
    }
  }

  private static Grid grid(int rows, TensorScope scope) {
    return new Grid(
        GridSpec.of(Scheme.SYMMETRIC, 4),
        scope.filled(1, rows, 1),
        scope.filled(0, rows, 1),
        scope.upload(new int[BLOCK]));
  }

  private record Measured(int n, double seconds) {}

  private static Measured measure(Backend backend, Probe probe) {
    for (int n = SMALLEST; ; n *= GROWTH) {
      try (TensorScope scope = backend.newScope()) {
        Runnable operation = probe.prepare(n, scope);
        double best = Double.POSITIVE_INFINITY;
        for (int run = 0; run < RUNS; run++) {
          best = Math.min(best, seconds(backend, operation));
        }
        if (best > LONG_ENOUGH || n * GROWTH > LARGEST) {
          return new Measured(n, best);
        }
      }
    }
  }

  private static double seconds(Backend backend, Runnable operation) {
    backend.synchronize();
    long start = System.nanoTime();
    operation.run();
    backend.synchronize();
    return (System.nanoTime() - start) / 1e9;
  }
}
