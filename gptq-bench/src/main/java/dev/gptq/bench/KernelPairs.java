package dev.gptq.bench;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.BiFunction;

/**
 * Products of 4-bit weights by the native kernels against those written in Java, both with
 * activations of 8 bits, in {@link Pairs} of short slices within one process.
 */
public final class KernelPairs {
  private static final Pairs PAIRS =
      new Pairs(
          Integer.getInteger("gptq.reach.pairs", 200),
          Integer.getInteger("gptq.reach.seconds", 40));
  private static final int FOOTPRINT = 256;
  private static final double WARM_SECONDS = 1.5;

  private KernelPairs() {}

  /** Arguments: numbers of threads. */
  public static void main(String[] arguments) throws IOException {
    List<BiFunction<Backend, TensorScope, ReachCase>> cases =
        ImmutableList.of(
            (b, s) -> ReachCase.decode(b, s, 4096, 4096, FOOTPRINT),
            (b, s) -> ReachCase.decode(b, s, 2816, 1024, FOOTPRINT),
            (b, s) -> ReachCase.prefill(b, s, 512, 4096, 4096),
            (b, s) -> ReachCase.prefill(b, s, 300, 2816, 1024));
    System.out.println(BusyCheck.machine() + ", busy " + BusyCheck.busy());
    for (int threads : Arrays.stream(arguments).mapToInt(Integer::parseInt).toArray()) {
      try (Backend own = open(threads, "native");
          Backend other = open(threads, "java")) {
        System.out.println(own.info());
        for (BiFunction<Backend, TensorScope, ReachCase> each : cases) {
          measure(own, other, each, threads);
        }
      }
    }
    System.out.println("busy share of the processors afterwards: " + BusyCheck.busy());
  }

  private static Backend open(int threads, String kernels) {
    return Backends.open(
        "simd",
        new BackendOptions(
            threads, 0, ImmutableMap.of("simd.activations", "int8", "simd.kernels", kernels)),
        refused -> {});
  }

  private static void measure(
      Backend own, Backend other, BiFunction<Backend, TensorScope, ReachCase> source, int threads)
      throws IOException {
    try (TensorScope ownScope = own.newScope();
        TensorScope otherScope = other.newScope()) {
      ReachCase a = source.apply(own, ownScope);
      ReachCase b = source.apply(other, otherScope);
      long end = System.nanoTime() + (long) (WARM_SECONDS * 1e9);
      while (System.nanoTime() < end) {
        a.own().run();
        b.own().run();
      }
      Pairs.Result result =
          PAIRS.measure(n -> seconds(a.own(), n), a.work(), n -> seconds(b.own(), n), b.work());
      Pairs.Ratio ratio = result.ratio();
      System.out.printf(
          Locale.ROOT,
          "%d threads  %-36s %8.1f %8.1f  ratio %.3f (%.3f to %.3f), %d pairs, %d thrown away%n",
          threads,
          a.name(),
          Pairs.Ratio.of(result.own().toArray()).median(),
          Pairs.Ratio.of(result.other().toArray()).median(),
          ratio.median(),
          ratio.low(),
          ratio.high(),
          result.own().length(),
          result.dropped());
    }
  }

  private static double seconds(Runnable operation, int executions) {
    long start = System.nanoTime();
    for (int i = 0; i < executions; i++) {
      operation.run();
    }
    return (System.nanoTime() - start) * 1e-9;
  }
}
