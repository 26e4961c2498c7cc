package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import java.util.function.IntConsumer;

/** Progress with the time that is left. */
public final class ProgressLines {
  private ProgressLines() {}

  public static IntConsumer windows(Console console, int windows) {
    long start = System.nanoTime();
    return done -> step(console, "evaluating", "windows", done, windows, start);
  }

  /** Progress of a task, of which so many requests go through the model. */
  public static IntConsumer requests(Console console, String task, int requests) {
    long start = System.nanoTime();
    return done -> step(console, task, "requests", done, requests, start);
  }

  /** Progress of a quantization, which begins with {@code finished} blocks done already. */
  public static JobListener blocks(Console console, String what, int finished) {
    return new BlockProgress(console, what, finished);
  }

  private static void step(
      Console console, String what, String unit, int done, int all, long start) {
    console.progress(
        what + ": " + done + "/" + all + " " + unit + left(System.nanoTime() - start, done, all));
    console.event("measuring", json -> json.put("what", what).put(unit, all).put("done", done));
  }

  /** What is left after so many nanoseconds for what was done. */
  static String left(long nanos, int done, int all) {
    double seconds = nanos / 1e9;
    return ", " + Console.time(seconds / done * (all - done)) + " left";
  }
}
