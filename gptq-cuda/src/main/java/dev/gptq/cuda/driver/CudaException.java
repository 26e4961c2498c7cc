package dev.gptq.cuda.driver;

/** A call into one of NVIDIA's libraries failed. The message names the call and its status. */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  /** A failure of {@code call} with a status and its meaning in words. */
  public CudaException(String call, int status, String meaning) {
    super(call + " failed: " + meaning + " (status " + status + ")");
    this.status = status;
  }

  /** The same failure, met while waiting for the work that {@code message} names. */
  public CudaException(String message, CudaException cause) {
    super(message + ": " + cause.getMessage(), cause);
    this.status = cause.status;
  }

  /** The library's status code. */
  public int status() {
    return status;
  }
}
