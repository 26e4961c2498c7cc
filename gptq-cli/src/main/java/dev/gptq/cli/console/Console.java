package dev.gptq.cli.console;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;
import picocli.CommandLine.Model.CommandSpec;
import tools.jackson.databind.node.ObjectNode;

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
    /** A JSON object a line, for everything that goes to standard error. */
    JSON,
    /** Nothing. */
    NONE
  }

  private final PrintWriter out;
  private final PrintWriter err;
  private final ProgressMode progress;
  private final Optional<RunLog> log;

  // Since JDK 25 there is a console only where input and output are a terminal.
  @SuppressWarnings("SystemConsoleNull")
  private final boolean terminal = System.console() != null;

  private boolean lineOpen;

  public Console(CommandSpec spec, ProgressMode progress) {
    this(spec, progress, Optional.empty());
  }

  /** A console whose lines are also kept in a file. */
  public Console(CommandSpec spec, ProgressMode progress, Optional<RunLog> log) {
    this.log = log;
    this.out = spec.commandLine().getOut();
    this.err = spec.commandLine().getErr();
    this.progress = progress;
  }

  /** A line of the result. */
  public void result(String line) {
    endProgress();
    log.ifPresent(file -> file.line(line));
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
    log.ifPresent(file -> file.line(line));
    say(line, "note");
  }

  private void say(String line, String event) {
    if (progress == ProgressMode.JSON) {
      event(event, json -> json.put("text", line));
    } else {
      endProgress();
      err.println(line);
      err.flush();
    }
  }

  /** A line about what was asked for and is not as it seems. */
  public void warning(String line) {
    log.ifPresent(file -> file.line("warning: " + line));
    if (progress == ProgressMode.JSON) {
      say(line, "warning");
    } else {
      say("warning: " + line, "");
    }
  }

  /**
   * Something that happened, for scripts: printed where progress is JSON, and not at all otherwise.
   *
   * @param name what
   * @param fields adds more of it
   */
  public void event(String name, Consumer<ObjectNode> fields) {
    if (progress == ProgressMode.JSON) {
      ObjectNode json = JsonOutput.object().put("time", RunLog.now()).put("event", name);
      fields.accept(json);
      err.println(JsonOutput.line(json));
      err.flush();
    }
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
    log.ifPresent(file -> file.line(line));
    if (progress == ProgressMode.JSON) {
      say(line, "progress");
    } else if (progress == ProgressMode.AUTO && !terminal) {
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

  /** The end of a command that failed, as logs and scripts hear of it. */
  public void failed(String why, int status) {
    record("failed with status " + status + ": " + why);
    event("failed", json -> json.put("text", why).put("status", status));
  }

  /** What is shown only until the next goes to the log for good. */
  public void record(String line) {
    log.ifPresent(file -> file.line(line));
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
