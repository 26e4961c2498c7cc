package dev.gptq.cli;

/** Options that cannot be right together; the message says which and what to do. */
final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  UsageException(String message) {
    super(message);
  }
}
