package dev.gptq.cli.console;

/** Options that cannot be right together; the message says which and what to do. */
public final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public UsageException(String message) {
    super(message);
  }
}
