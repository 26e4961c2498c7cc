package dev.gptq.quantizer.run;

/** Something was asked for that cannot be done, whatever the model. */
public final class RequestException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  RequestException(String message) {
    super(message);
  }
}
