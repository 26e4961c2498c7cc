package dev.gptq.backend;

/** A setting that no backend has, or a value that it cannot take. */
public final class BackendSettingException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A message that names the setting and what may be given. */
  public BackendSettingException(String message) {
    super(message);
  }
}
