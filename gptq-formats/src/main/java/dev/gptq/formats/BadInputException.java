package dev.gptq.formats;

/**
 * What the user gave cannot be used: a corrupt or unsupported checkpoint, a text that is too short,
 * settings that contradict each other. The message names the file, the tensor or key, and the
 * remedy.
 */
public final class BadInputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message for the user. */
  public BadInputException(String message) {
    super(message);
  }

  /** With a message for the user and the failure that revealed the fault. */
  public BadInputException(String message, Throwable cause) {
    super(message, cause);
  }
}
