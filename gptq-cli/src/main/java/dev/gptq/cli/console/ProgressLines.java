package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.Locale;
import java.util.function.IntConsumer;

/** Progress with the time that is left. */
public final class ProgressLines {
  private ProgressLines() {}

  public static IntConsumer windows(Console console, int windows) {
    long start = System.nanoTime();
    return done ->
        console.progress(
            "evaluating: " + done + "/" + windows + " windows" + left(start, done, windows));
  }

  /** Progress of a task, of which so many requests go through the model. */
  public static IntConsumer requests(Console console, String task, int requests) {
    long start = System.nanoTime();
    return done ->
        console.progress(
            task + ": " + done + "/" + requests + " requests" + left(start, done, requests));
  }

  /** Progress of a quantization, which begins with {@code finished} blocks done already. */
  public static JobListener blocks(Console console, String what, int finished) {
    long start = System.nanoTime();
    return new JobListener() {
      private String title = "";

      @Override
      public void block(int index, int count) {
        title = what + ": block " + (index + 1) + "/" + count;
        console.milestone(
            title + (index > finished ? left(start, index - finished, count - finished) : ""));
      }

      @Override
      public void module(ModuleReport report) {
        if (report.fellBack()) {
          console.note(report.name() + " is rounded to nearest: " + report.fallback());
        }
        console.progress(
            title
                + " "
                + report.module()
                + (Double.isNaN(report.relativeError())
                    ? ""
                    : String.format(
                        Locale.ROOT,
                        ", relative error %.2e (RTN %.2e)",
                        report.relativeError(),
                        report.rtnRelativeError())));
      }
    };
  }

  private static String left(long start, int done, int all) {
    double seconds = (System.nanoTime() - start) / 1e9;
    return ", " + Console.time(seconds / done * (all - done)) + " left";
  }
}
