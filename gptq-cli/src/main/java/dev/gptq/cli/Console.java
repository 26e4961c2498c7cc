package dev.gptq.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Where a command writes: results to standard output, everything else to standard error, so that
 * output can be piped.
 */
final class Console {
  /** How progress is shown. */
  enum Progress {
    /** As {@code plain} in a terminal, else a line a block. */
    AUTO,
    /** One line that is written over. */
    PLAIN,
    /** Nothing. */
    NONE
  }

  private final PrintWriter out;
  private final PrintWriter err;
  private final Progress progress;

  // Since JDK 25 there is a console only where input and output are a terminal.
  @SuppressWarnings("SystemConsoleNull")
  private final boolean terminal = System.console() != null;

  private boolean lineOpen;

  Console(CommandSpec spec, Progress progress) {
    this.out = spec.commandLine().getOut();
    this.err = spec.commandLine().getErr();
    this.progress = progress;
  }

  /** A line of the result. */
  void result(String line) {
    endProgress();
    out.println(line);
    out.flush();
  }

  /** A part of a line of the result, shown at once. */
  void resultPart(String part) {
    endProgress();
    out.print(part);
    out.flush();
  }

  /** A line about what goes on. */
  void note(String line) {
    endProgress();
    err.println(line);
    err.flush();
  }

  /** Progress that matters only until the next: in a terminal it is written over. */
  void progress(String line) {
    if (progress == Progress.PLAIN || (progress == Progress.AUTO && terminal)) {
      err.print("\r" + line + "\u001b[K");
      err.flush();
      lineOpen = true;
    }
  }

  /** Progress that is worth a line of its own where nothing can be written over. */
  void milestone(String line) {
    if (progress == Progress.AUTO && !terminal) {
      err.println(line);
      err.flush();
    } else {
      progress(line);
    }
  }

  /** Ends a line of progress so that other text begins a new one. */
  void endProgress() {
    if (lineOpen) {
      err.print("\r\u001b[K");
      err.flush();
      lineOpen = false;
    }
  }

  /** Seconds as people read them. */
  static String time(double seconds) {
    Duration d = Duration.ofMillis(Math.round(seconds * 1000.0));
    if (d.toHours() > 0) {
      return d.toHours() + " h " + d.toMinutesPart() + " min";
    }
    return d.toMinutes() > 0
        ? d.toMinutes() + " min " + d.toSecondsPart() + " s"
        : String.format(Locale.ROOT, "%.1f s", seconds);
  }
}
