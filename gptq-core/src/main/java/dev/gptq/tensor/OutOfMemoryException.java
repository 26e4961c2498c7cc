package dev.gptq.tensor;

/** A backend has no room for a tensor. The message says how much was asked for and is in use. */
public final class OutOfMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message that names the sizes and the remedy. */
  public OutOfMemoryException(String message) {
    super(message);
  }

  /** With a message and the failure that the host reported. */
  public OutOfMemoryException(String message, Throwable cause) {
    super(message, cause);
  }
}
