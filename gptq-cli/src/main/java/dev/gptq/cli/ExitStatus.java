package dev.gptq.cli;

/** What the process says when it ends; numbers above 64 follow sysexits. */
final class ExitStatus {
  static final int DONE = 0;
  static final int SOFTWARE = 1;
  static final int USAGE = 2;
  static final int BAD_INPUT = 65;
  static final int UNAVAILABLE = 69;
  static final int IO_ERROR = 74;

  private ExitStatus() {}
}
