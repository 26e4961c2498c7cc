package dev.gptq.bench;

import com.google.common.base.CharMatcher;
import com.google.common.base.Splitter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;

/** Whether others use the processors that this process may run on; Linux only. */
final class BusyCheck {
  private static final double LIMIT =
      Double.parseDouble(System.getProperty("gptq.reach.busy", "0.15"));
  private static final int STEAL = 8;
  private static final long MILLISECONDS = 1_000;
  private static final Splitter WORDS = Splitter.on(CharMatcher.whitespace()).omitEmptyStrings();
  private static final Splitter RANGES = Splitter.on(',').trimResults();
  private static final Splitter ENDS = Splitter.on('-');

  private BusyCheck() {}

  /**
   * Looks for a second.
   *
   * @throws IllegalStateException if they are busy
   */
  static void requireIdle() throws IOException {
    double busy = busy();
    if (busy > LIMIT) {
      throw new IllegalStateException(
          String.format(
              Locale.ROOT,
              "the processors are %.0f %% busy: close what else runs and try again",
              100 * busy));
    }
  }

  /** The share of the last second in which they were not idle. */
  static double busy() throws IOException {
    long[] before = times();
    try {
      Thread.sleep(MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    long[] after = times();
    double total = after[1] - before[1];
    return total == 0 ? 0 : (after[0] - before[0]) / total;
  }

  /** How long the host has given the allowed processors to other guests, in ticks. */
  static long stolen() throws IOException {
    return times()[2];
  }

  /** Processor, number of processors, Java. */
  static String machine() throws IOException {
    String model =
        Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
            .filter(line -> line.startsWith("model name"))
            .findFirst()
            .map(line -> line.substring(line.indexOf(':') + 2))
            .orElse("unknown processor");
    return model
        + ", processors "
        + allowed()
        + ", Java "
        + System.getProperty("java.runtime.version");
  }

  /** Busy, total and stolen time of the allowed processors, in ticks. */
  private static long[] times() throws IOException {
    BitSet allowed = allowed();
    long[] times = new long[3];
    for (String line : Files.readAllLines(Path.of("/proc/stat"))) {
      List<String> words = WORDS.splitToList(line);
      String name = words.get(0);
      if (!name.matches("cpu\\d+") || !allowed.get(Integer.parseInt(name.substring(3)))) {
        continue;
      }
      for (int i = 1; i < words.size(); i++) {
        long ticks = Long.parseLong(words.get(i));
        // The fourth and fifth are idle and waiting; the last two are contained in others.
        times[0] += i == 4 || i == 5 || i > 8 ? 0 : ticks;
        times[1] += i > 8 ? 0 : ticks;
        times[2] += i == STEAL ? ticks : 0;
      }
    }
    return times;
  }

  private static BitSet allowed() throws IOException {
    BitSet set = new BitSet();
    List<String> status = Files.readAllLines(Path.of("/proc/self/status"));
    for (String line : status) {
      if (line.startsWith("Cpus_allowed_list:")) {
        for (String range : RANGES.split(line.substring(line.indexOf(':') + 1))) {
          List<String> ends = ENDS.splitToList(range);
          set.set(Integer.parseInt(ends.getFirst()), Integer.parseInt(ends.getLast()) + 1);
        }
      }
    }
    return set;
  }
}
