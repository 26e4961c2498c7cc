package dev.gptq.cli.console;

/** What the process says when it ends; numbers above 64 follow sysexits. */
public final class ExitStatus {
  public static final int DONE = 0;
  public static final int SOFTWARE = 1;
  public static final int USAGE = 2;
  public static final int BAD_INPUT = 65;
  public static final int UNAVAILABLE = 69;
  public static final int IO_ERROR = 74;

  private ExitStatus() {}
}
