package dev.gptq.cli.hub;

import dev.gptq.cli.console.Console;
import dev.gptq.hub.TransferListener;
import dev.gptq.hub.TransferProgress;

/** Shows a transfer: all of it in a terminal, else a line for each tenth. */
public final class HubProgress implements TransferListener {
  private static final int STEPS = 10;

  private final Console console;
  private final String what;
  private long tenths;

  /**
   * Of one transfer.
   *
   * @param what the beginning of each line
   */
  public HubProgress(Console console, String what) {
    this.console = console;
    this.what = what;
  }

  @Override
  public void note(String line) {
    console.note(line);
  }

  @Override
  public void progress(TransferProgress now) {
    String line =
        what
            + ": "
            + now.amounts()
            + (Double.isFinite(now.secondsLeft())
                ? ", " + Console.time(now.secondsLeft()) + " left"
                : "");
    long reached = now.total() == 0 ? STEPS : now.done() / Math.max(1, now.total() / STEPS);
    if (reached > tenths) {
      tenths = reached;
      console.milestone(line);
    } else {
      console.progress(line);
    }
  }
}
