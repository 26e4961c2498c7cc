package dev.gptq.backend;

/** A backend was asked for by name and cannot run here. */
public final class BackendUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A message that carries the reason and the remedy. */
  public BackendUnavailableException(String name, Availability.Unavailable why) {
    super("backend '" + name + "' is unavailable: " + why.reason() + ". " + why.remedy());
  }

  /** For a name that no provider has. */
  public BackendUnavailableException(String message) {
    super(message);
  }
}
