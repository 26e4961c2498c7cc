package dev.gptq.backend;

/** A factorisation met a pivot that is not positive. */
public final class NotPositiveDefiniteException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The one-based order of the minor, counted in the order of elimination. */
  public NotPositiveDefiniteException(int minor) {
    super("the matrix is not positive definite: pivot " + minor + " is not a positive number");
  }
}
