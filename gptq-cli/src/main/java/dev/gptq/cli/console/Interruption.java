package dev.gptq.cli.console;

import java.util.function.BooleanSupplier;

/**
 * Says what is kept if the process is told to end, by Ctrl-C or SIGTERM, while this is open; the
 * exit status is the JVM's, 128 and the number of the signal. Closed it says nothing: who sees a
 * result or an error needs no such hint.
 */
public final class Interruption implements AutoCloseable {
  private final Console console;
  private final BooleanSupplier keeps;
  private final String kept;
  private final String lost;
  // A hook that is told to be still: one cannot be removed any more when the process is ending.
  private volatile boolean open = true;

  /**
   * Opens it.
   *
   * @param keeps whether something is kept, asked when it happens
   * @param kept what is said if so, behind "interrupted"
   * @param lost what is said if not
   */
  Interruption(Console console, BooleanSupplier keeps, String kept, String lost) {
    this.console = console;
    this.keeps = keeps;
    this.kept = kept;
    this.lost = lost;
    Runtime.getRuntime().addShutdownHook(new Thread(this::say));
  }

  /** Of work of which nothing is left, such as a measurement. */
  public static Interruption losing(Console console, String what) {
    return new Interruption(console, () -> false, "", what);
  }

  /** Of work that goes on where it was. */
  public static Interruption keeping(Console console, String what) {
    return new Interruption(console, () -> true, what, "");
  }

  /** What happens when the process ends. */
  void say() {
    if (open) {
      boolean keeping = keeps.getAsBoolean();
      console.note("interrupted" + (keeping ? kept : lost));
      console.event("interrupted", json -> json.put("kept", keeping));
    }
  }

  @Override
  public void close() {
    open = false;
  }
}
