package dev.gptq.cuda.driver;

import dev.gptq.backend.Availability;

/** Something that the CUDA backend needs is absent or too old on this machine. */
public final class CudaUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String reason;
  private final String remedy;

  /** What is missing, and what the user can do about it. */
  public CudaUnavailableException(String reason, String remedy) {
    super(reason + ". " + remedy);
    this.reason = reason;
    this.remedy = remedy;
  }

  /** The same as the answer to a probe. */
  public Availability.Unavailable unavailable() {
    return new Availability.Unavailable(reason, remedy);
  }
}
