package dev.gptq.quantize;

/** The calibration data do not allow a quantization; the message says why and what to do. */
public final class CalibrationException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message for the user. */
  public CalibrationException(String message) {
    super(message);
  }

  /** With a message for the user and the failure behind it. */
  public CalibrationException(String message, Throwable cause) {
    super(message, cause);
  }
}
