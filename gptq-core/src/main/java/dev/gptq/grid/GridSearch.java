package dev.gptq.grid;

/** How the scale of a group follows from its weights. */
public enum GridSearch {
  /** The grid covers the range of the weights. */
  MIN_MAX,
  /**
   * The range is shrunk in steps of 1 % down to 21 %; the candidate with the least {@code Σ |q(w) −
   * w|^2.4} wins, the wider one on ties. See {@link ErrorNorm}.
   */
  MSE
}
