package dev.gptq.grid;

/**
 * How the grid of a group follows from its weights. All but {@link #MIN_MAX} try the candidates of
 * a ladder of shrunken ranges and keep the one with the least error; they differ in the error. With
 * D the rounding errors {@code q(w) − w} of the group's current weights, H the Hessian of the layer
 * and U its factor, {@code UᵀU = (H + λI)⁻¹}, in the order of quantization:
 */
public enum GridSearch {
  /** The grid covers the range of the weights. */
  MIN_MAX("minmax"),
  /** {@code Σ |D_j|^2.4}, ranges shrunk in steps of 1 % down to 21 %. See {@link ErrorNorm}. */
  MSE("mse"),
  /** {@code Σ D_j²·H_jj}: what rounding costs where no other column makes up for it. */
  HESSIAN_DIAGONAL("hdiag"),
  /**
   * {@code Σ D_j²/U_jj²}: what rounding column j costs when all later columns make up for it, as
   * the column loop pays it.
   */
  PIVOT("hpiv"),
  /**
   * {@code ‖D·U_g⁻¹‖²} with U_g the group's diagonal block of U: what rounding the whole group at
   * once costs when all later groups make up for it.
   */
  GROUP_CLIP("hclip"),
  /** {@code Σ e_j²} of the column loop itself, run over the group with each candidate. */
  LOOP("loop");

  private final String id;

  GridSearch(String id) {
    this.id = id;
  }

  /** The name on the command line and in reports. */
  public String id() {
    return id;
  }

  /** Whether the error needs the Hessian of the layer. */
  public boolean needsHessian() {
    return this != MIN_MAX && this != MSE;
  }

  /** The search of that {@link #id()}. */
  public static GridSearch of(String id) {
    for (GridSearch search : values()) {
      if (search.id.equals(id)) {
        return search;
      }
    }
    throw new IllegalArgumentException(
        "unknown grid search '" + id + "'; known: minmax, mse, hdiag, hpiv, hclip, loop");
  }
}
