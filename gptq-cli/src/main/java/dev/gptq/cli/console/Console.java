package dev.gptq.cli.console;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Where a command writes: results to standard output, everything else to standard error, so that
 * output can be piped.
 */
public final class Console {
  /** How progress is shown. */
  public enum ProgressMode {
    /** As {@code plain} in a terminal, else a line a block. */
    AUTO,
    /** One line that is written over. */
    PLAIN,
    /** Nothing. */
    NONE
  }

  private final PrintWriter out;
  private final PrintWriter err;
  private final ProgressMode progress;

  // Since JDK 25 there is a console only where input and output are a terminal.
  @SuppressWarnings("SystemConsoleNull")
  private final boolean terminal = System.console() != null;

  private boolean lineOpen;

  public Console(CommandSpec spec, ProgressMode progress) {
    this.out = spec.commandLine().getOut();
    this.err = spec.commandLine().getErr();
    this.progress = progress;
  }

  /** A line of the result. */
  public void result(String line) {
    endProgress();
    out.println(line);
    out.flush();
  }

  /** A part of a line of the result, shown at once. */
  public void resultPart(String part) {
    endProgress();
    out.print(part);
    out.flush();
  }

  /** A line about what goes on. */
  public void note(String line) {
    endProgress();
    err.println(line);
    err.flush();
  }

  /** A line about what was asked for and is not as it seems. */
  public void warning(String line) {
    note("warning: " + line);
  }

  /** Progress that matters only until the next: in a terminal it is written over. */
  public void progress(String line) {
    if (progress == ProgressMode.PLAIN || (progress == ProgressMode.AUTO && terminal)) {
      err.print("\r" + line + "\u001b[K");
      err.flush();
      lineOpen = true;
    }
  }

  /** Progress that is worth a line of its own where nothing can be written over. */
  public void milestone(String line) {
    if (progress == ProgressMode.AUTO && !terminal) {
      err.println(line);
      err.flush();
    } else {
      progress(line);
    }
  }

  /** Ends a line of progress so that other text begins a new one. */
  public void endProgress() {
    if (lineOpen) {
      err.print("\r\u001b[K");
      err.flush();
      lineOpen = false;
    }
  }

  /** Seconds as people read them. */
  public static String time(double seconds) {
    Duration d = Duration.ofMillis(Math.round(seconds * 1000.0));
    if (d.toHours() > 0) {
      return d.toHours() + " h " + d.toMinutesPart() + " min";
    }
    return d.toMinutes() > 0
        ? d.toMinutes() + " min " + d.toSecondsPart() + " s"
        : String.format(Locale.ROOT, "%.1f s", seconds);
  }
}
