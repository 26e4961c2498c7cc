package dev.gptq.cli.console;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * A file of what commands say, each line behind the time in UTC. Lines are added to what the file
 * holds, and are there when a process is killed.
 */
public final class RunLog {
  private final PrintWriter writer;

  private RunLog(PrintWriter writer) {
    this.writer = writer;
  }

  /** Opens a file, which may exist. */
  public static RunLog open(Path file) throws IOException {
    return new RunLog(
        new PrintWriter(
            Files.newBufferedWriter(
                file, StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND),
            true));
  }

  /** Adds a line. */
  public synchronized void line(String line) {
    writer.println(now() + " " + line);
  }

  /** The time as logs and events have it. */
  static String now() {
    return Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
  }
}
