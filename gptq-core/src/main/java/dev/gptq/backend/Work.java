package dev.gptq.backend;

/**
 * What operations have to do, in the units in which their time grows.
 *
 * @param products32 multiply-adds of products, factorisations and attention in float32
 * @param products16 the same in bfloat16
 * @param steps multiply-adds of the loops over columns, which know one column's code before the
 *     next
 * @param trials weights that are rounded on trial while grids are fitted
 * @param moved bytes that all other operations read and write
 * @param calls operations
 */
public record Work(
    double products32, double products16, double steps, double trials, double moved, double calls) {
  /** Nothing. */
  public static final Work NONE = new Work(0, 0, 0, 0, 0, 0);

  /** This and other work. */
  public Work plus(Work other) {
    return new Work(
        products32 + other.products32,
        products16 + other.products16,
        steps + other.steps,
        trials + other.trials,
        moved + other.moved,
        calls + other.calls);
  }

  /** This work several times. */
  public Work times(double factor) {
    return new Work(
        products32 * factor,
        products16 * factor,
        steps * factor,
        trials * factor,
        moved * factor,
        calls * factor);
  }

  static Work products(boolean inFloat32, double multiplyAdds) {
    return new Work(inFloat32 ? multiplyAdds : 0, inFloat32 ? 0 : multiplyAdds, 0, 0, 0, 1);
  }

  static Work steps(double multiplyAdds) {
    return new Work(0, 0, multiplyAdds, 0, 0, 1);
  }

  static Work trials(double weights) {
    return new Work(0, 0, 0, weights, 0, 1);
  }

  static Work moved(double bytes) {
    return new Work(0, 0, 0, 0, bytes, 1);
  }
}
