package dev.gptq.quantize;

import com.google.common.primitives.ImmutableDoubleArray;

/**
 * GPTQ exactly as algorithm 1 of the paper has it (Frantar et al., ICLR 2023), one row, column by
 * column: with the inverse of the Hessian and the upper factor U of that, {@code UᵀU = H⁻¹}. Plain
 * float64 for small matrices: an oracle for tests. {@link Gptq} arrives at the same codes without
 * an inverse.
 */
public final class PaperGptq {

  /** Chooses the grid value of a weight. */
  @FunctionalInterface
  public interface Rounding {
    /**
     * The grid value for {@code row[column]}.
     *
     * @param row the current weights from this column on; errors before it
     */
    double round(int column, double[] row);
  }

  /**
   * A quantized row.
   *
   * @param values the grid values
   * @param loss {@code ½·Σe²}, which is {@code ½·(w − q)·H·(w − q)ᵀ}
   */
  public record Row(ImmutableDoubleArray values, double loss) {}

  private PaperGptq() {}

  /**
   * Quantizes one row.
   *
   * @param weights the row
   * @param u {@link #factor}
   */
  public static Row quantize(double[] weights, double[][] u, Rounding quant) {
    int n = weights.length;
    double[] w = weights.clone();
    double[] values = new double[n];
    double loss = 0;
    for (int j = 0; j < n; j++) {
      values[j] = quant.round(j, w);
      double e = (w[j] - values[j]) / u[j][j];
      for (int k = j + 1; k < n; k++) {
        w[k] -= e * u[j][k];
      }
      w[j] = e;
      loss += 0.5 * e * e;
    }
    return new Row(ImmutableDoubleArray.copyOf(values), loss);
  }

  /** The upper triangular U with {@code UᵀU = H⁻¹}, from H⁻¹. */
  public static double[][] factor(double[][] inverse) {
    int n = inverse.length;
    double[][] u = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        double sum = inverse[i][j];
        for (int k = 0; k < i; k++) {
          sum -= u[k][i] * u[k][j];
        }
        u[i][j] = i == j ? Math.sqrt(sum) : sum / u[i][i];
      }
    }
    return u;
  }
}
