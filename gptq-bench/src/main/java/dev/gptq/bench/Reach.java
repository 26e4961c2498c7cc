package dev.gptq.bench;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.BiFunction;

/**
 * The table of ratios: each operation of the CPU backend against OpenBLAS in a process of its own,
 * in {@link Pairs} of short slices. Prints the median of the ratios and the interval that holds it
 * with 95 %: a target is reached when the lower end reaches it. Writes the measurements as JSON
 * that {@link Compare} reads, and refuses to measure while others use the processors.
 */
public final class Reach {
  private static final Pairs PAIRS =
      new Pairs(
          Integer.getInteger("gptq.reach.pairs", 200),
          Integer.getInteger("gptq.reach.seconds", 40));

  /** Leaves out the kernels of Java. */
  private static final boolean ONLY_NATIVE = Boolean.getBoolean("gptq.reach.native");

  private static final double WARM_SECONDS = 1.5;
  private static final int WARM_RUNS = 3;

  private final int threads;
  private final PeerProcess peer;
  private final List<String> json = new ArrayList<>();

  private Reach(int threads, PeerProcess peer) {
    this.threads = threads;
    this.peer = peer;
  }

  /** Arguments: file of results, size of the matrices, kernels of OpenBLAS, numbers of threads. */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length < 4) {
      throw new IllegalArgumentException("usage: Reach RESULTS.json SIZE CORETYPE THREADS…");
    }
    BusyCheck.requireIdle();
    int n = Integer.parseInt(arguments[1]);
    List<String> json = new ArrayList<>();
    System.out.println(BusyCheck.machine());
    for (String count : Arrays.asList(arguments).subList(3, arguments.length)) {
      int threads = Integer.parseInt(count);
      try (Backend backend = open(threads, "float32", "java");
          Backend rounding = open(threads, "int8", "java");
          PeerProcess peer = new PeerProcess(threads, arguments[2])) {
        System.out.println(backend.info() + "; " + peer.description());
        Reach reach = new Reach(threads, peer);
        if (!ONLY_NATIVE) {
          for (BiFunction<Backend, TensorScope, ReachCase> each : cases(n)) {
            reach.measure(backend, each, "");
          }
          for (BiFunction<Backend, TensorScope, ReachCase> each : products(n)) {
            reach.measure(rounding, each, ", int8");
          }
        }
        if (hasNativeKernels()) {
          try (Backend outside = open(threads, "int8", "native")) {
            for (BiFunction<Backend, TensorScope, ReachCase> each : dense(n)) {
              reach.measure(outside, each, ", native");
            }
            for (BiFunction<Backend, TensorScope, ReachCase> each : products(n)) {
              reach.measure(outside, each, ", int8, native");
            }
          }
        }
        json.addAll(reach.json);
      }
    }
    Files.writeString(Path.of(arguments[0]), "[" + String.join(",\n", json) + "]\n");
    System.out.println("busy share of the processors afterwards: " + BusyCheck.busy());
  }

  private static Backend open(int threads, String activations, String kernels) {
    return Backends.open("simd", options(threads, activations, kernels), refused -> {});
  }

  private static BackendOptions options(int threads, String activations, String kernels) {
    return new BackendOptions(
        threads, 0, ImmutableMap.of("simd.activations", activations, "simd.kernels", kernels));
  }

  private static boolean hasNativeKernels() {
    return Backends.discover(options(1, "int8", "native")).stream()
        .anyMatch(each ->
            each.name().equals("simd") && each.availability() instanceof Availability.Available);
  }

  /** The table's operations at size n, then shapes that nothing was tuned for. */
  private static ImmutableList<BiFunction<Backend, TensorScope, ReachCase>> cases(int n) {
    return ImmutableList.of(
        (b, s) -> ReachCase.gemm(b, s, n, n, n),
        (b, s) -> ReachCase.gram(b, s, n, n),
        (b, s) -> ReachCase.factor(b, s, n, "chain"),
        (b, s) -> ReachCase.factor(b, s, n, "factor"),
        (b, s) -> ReachCase.columnLoop(b, s, n, n),
        (b, s) -> ReachCase.decode(b, s, n, n, n / 16),
        (b, s) -> ReachCase.prefill(b, s, 512, n, n),
        (b, s) -> ReachCase.forward(b, s, 512),
        (b, s) -> ReachCase.gemm(b, s, 1000, 2500, 1700),
        (b, s) -> ReachCase.gemm(b, s, 2048, 512, 512),
        (b, s) -> ReachCase.gram(b, s, 1408, 2048),
        (b, s) -> ReachCase.factor(b, s, 1500, "factor"),
        (b, s) -> ReachCase.columnLoop(b, s, 1408, 512),
        (b, s) -> ReachCase.decode(b, s, 2816, 1024, n / 16),
        (b, s) -> ReachCase.prefill(b, s, 300, 2816, 1024));
  }

  /** Those in which the native kernels multiply dense matrices. */
  private static ImmutableList<BiFunction<Backend, TensorScope, ReachCase>> dense(int n) {
    return ImmutableList.of(
        (b, s) -> ReachCase.gemm(b, s, n, n, n),
        (b, s) -> ReachCase.gram(b, s, n, n),
        (b, s) -> ReachCase.columnLoop(b, s, n, n),
        (b, s) -> ReachCase.forward(b, s, 512),
        (b, s) -> ReachCase.gemm(b, s, 1000, 2500, 1700),
        (b, s) -> ReachCase.gemm(b, s, 2048, 512, 512),
        (b, s) -> ReachCase.gram(b, s, 1408, 2048),
        (b, s) -> ReachCase.columnLoop(b, s, 1408, 512));
  }

  /** Those that may round their activations. */
  private static ImmutableList<BiFunction<Backend, TensorScope, ReachCase>> products(int n) {
    return ImmutableList.of(
        (b, s) -> ReachCase.decode(b, s, n, n, n / 16),
        (b, s) -> ReachCase.prefill(b, s, 512, n, n),
        (b, s) -> ReachCase.decode(b, s, 2816, 1024, n / 16),
        (b, s) -> ReachCase.prefill(b, s, 300, 2816, 1024));
  }

  private void measure(
      Backend backend, BiFunction<Backend, TensorScope, ReachCase> source, String suffix)
      throws IOException {
    try (TensorScope scope = backend.newScope()) {
      ReachCase c = source.apply(backend, scope);
      String name = c.name() + suffix;
      long end = System.nanoTime() + (long) (WARM_SECONDS * 1e9);
      for (int i = 0; i < WARM_RUNS || System.nanoTime() < end; i++) {
        c.own().run();
      }
      Runnable product = ReachCase.ownProduct(backend, scope).own();
      Pairs.Result result =
          PAIRS.measure(
              count -> seconds(c.own(), count),
              c.work(),
              count -> c.peer().isPresent() ? peer(c.peer().get(), count) : seconds(product, count),
              c.peerWork());
      Pairs.Ratio ratio = result.ratio();
      System.out.printf(
          Locale.ROOT,
          "%d threads  %-36s %8.1f %8.1f  ratio %.3f (%.3f to %.3f), %d pairs, %d thrown away%n",
          threads,
          name,
          median(result.own()),
          median(result.other()),
          ratio.median(),
          ratio.low(),
          ratio.high(),
          result.own().length(),
          result.dropped());
      record(name, "simd", result.own());
      record(name, "openblas", result.other());
    }
  }

  private double peer(String request, int executions) {
    double seconds = peer.seconds(request, executions);
    try {
      Thread.sleep(PeerProcess.SPINS_MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return seconds;
  }

  private static double seconds(Runnable operation, int executions) {
    long start = System.nanoTime();
    for (int i = 0; i < executions; i++) {
      operation.run();
    }
    return (System.nanoTime() - start) * 1e-9;
  }

  private void record(String name, String side, ImmutableDoubleArray values) {
    json.add(
        String.format(
            Locale.ROOT,
            "{\"benchmark\": \"%s\", \"params\": {\"side\": \"%s\", \"threads\": \"%d\"}, "
                + "\"primaryMetric\": {\"rawData\": [%s]}}",
            name,
            side,
            threads,
            values));
  }

  private static double median(ImmutableDoubleArray values) {
    return Pairs.Ratio.of(values.toArray()).median();
  }
}
