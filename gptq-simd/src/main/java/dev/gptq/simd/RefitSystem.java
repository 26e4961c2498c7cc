package dev.gptq.simd;

/**
 * The normal equations of a refit, see {@link dev.gptq.backend.QuantizationOps#refitSystem}: for
 * each group one product, whose sums with the steps and with the difference are entries of both
 * sides.
 */
final class RefitSystem {
  /** Numbers of a product that are held at a time: 64 MiB. */
  private static final long PRODUCT = 1L << 24;

  private RefitSystem() {}

  static void run(
      Execution execution,
      Matrix steps,
      Matrix difference,
      Matrix h,
      Matrix normal,
      Matrix gradient) {
    int n = steps.columns();
    int atOnce = Math.clamp(PRODUCT / n, 1, Math.max(1, steps.rows()));
    for (int from = 0; from < steps.rows(); from += atOnce) {
      int to = Math.min(from + atOnce, steps.rows());
      Matrix product =
          Matrix.rowMajor(
                  execution.workspace()
                      .get(Workspace.Use.PRODUCT, 1, Float.BYTES * (long) n * (to - from))[0],
                  n,
                  to - from)
              .transposed();
      rows(
          execution,
          steps.rows(from, to),
          difference.rows(from, to),
          h,
          product,
          normal.rows(from, to),
          gradient.rows(from, to));
    }
  }

  private static void rows(
      Execution execution,
      Matrix steps,
      Matrix difference,
      Matrix h,
      Matrix product,
      Matrix normal,
      Matrix gradient) {
    int groups = gradient.columns();
    int run = steps.columns() / groups;
    for (int g = 0; g < groups; g++) {
      int from = g * run;
      int to = from + run;
      execution.gemm().multiply(1, steps.columns(from, to), h.rows(from, to), 0, product);
      int first = g * (g + 1) / 2;
      Rows.dots(
          execution,
          product.columns(0, to),
          steps.columns(0, to),
          normal.columns(first, first + g + 1));
      Rows.dots(execution, product, difference, gradient.columns(g, g + 1));
    }
  }
}
