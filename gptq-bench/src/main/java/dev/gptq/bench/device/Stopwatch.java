package dev.gptq.bench.device;

import dev.gptq.backend.Backend;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.IntConsumer;

/**
 * Times operations of a backend that queues its work: each is queued many times before the clock is
 * stopped, so that what waiting costs does not count. Prints medians of five rounds.
 */
final class Stopwatch {
  private static final int ROUNDS = 5;

  private final Backend backend;
  private final PrintStream out;
  private final double seconds;

  /**
   * A stopwatch.
   *
   * @param seconds that a round should take
   */
  Stopwatch(Backend backend, PrintStream out, double seconds) {
    this.backend = backend;
    this.out = out;
    this.seconds = seconds;
  }

  /** The operands' backend. */
  Backend backend() {
    return backend;
  }

  /** The head of a group of measurements. */
  void title(String text) {
    out.println("# " + text);
  }

  /** Times {@code body}, which is given the number of the repetition, and prints a line. */
  void time(String name, IntConsumer body) {
    time(name, 0, "", body);
  }

  /**
   * The same for a body that does {@code work}.
   *
   * @param work operations or bytes of one call; 0 if nothing is to be said of them
   * @param unit what a million millions of them a second are called
   */
  void time(String name, double work, String unit, IntConsumer body) {
    round(body, 1);
    // The second call tells what one takes; the first also loads kernels.
    int repetitions = (int) Math.clamp(seconds / round(body, 1), 1, 10_000);
    round(body, repetitions);
    double[] times = new double[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
      times[i] = round(body, repetitions) / repetitions;
    }
    Arrays.sort(times);
    double median = times[ROUNDS / 2];
    out.printf(
        Locale.ROOT,
        "%-56s %10.4f ms (%.4f to %.4f)%s%n",
        name,
        1e3 * median,
        1e3 * times[0],
        1e3 * times[ROUNDS - 1],
        work == 0 ? "" : String.format(Locale.ROOT, " %8.2f %s", 1e-12 * work / median, unit));
  }

  /** Seconds that so many repetitions take. */
  private double round(IntConsumer body, int repetitions) {
    long start = System.nanoTime();
    for (int i = 0; i < repetitions; i++) {
      body.accept(i);
    }
    backend.synchronize();
    return (System.nanoTime() - start) / 1e9;
  }
}
