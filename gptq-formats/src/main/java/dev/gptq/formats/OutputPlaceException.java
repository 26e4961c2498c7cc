package dev.gptq.formats;

/**
 * The place for output cannot be used whatever the input holds: it is, contains, or lies inside
 * what is read. The message names both, and the remedy.
 */
public final class OutputPlaceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message for the user. */
  public OutputPlaceException(String message) {
    super(message);
  }
}
