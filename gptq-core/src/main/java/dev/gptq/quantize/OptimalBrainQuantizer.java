package dev.gptq.quantize;

import com.google.common.primitives.ImmutableDoubleArray;
import com.google.common.primitives.ImmutableIntArray;
import java.util.function.DoubleUnaryOperator;

/**
 * Optimal Brain Quantization (Frantar and Alistarh, NeurIPS 2022), which GPTQ speeds up: one row at
 * a time, always the weight next that costs least. Plain float64 for small matrices: an oracle for
 * tests, and the shortest way to see where GPTQ comes from.
 *
 * <p>The loss of changing a row from w to v is {@code ½(v − w)·H·(v − w)ᵀ}. Let F be the weights
 * that may still move and {@code A = (H_FF)⁻¹}. Fixing weight q to its grid value with error {@code
 * r = w_q − quant(w_q)}, the least loss and the move of the others that attains it are (Lagrange)
 *
 * <pre>
 *   ΔL = r² / (2·A_qq)            δ_F = −(r / A_qq)·A_Fq
 * </pre>
 *
 * and then q leaves F: {@code A ← A − A_Fq·A_qF / A_qq}, without row and column q.
 */
public final class OptimalBrainQuantizer {

  /**
   * A quantized row.
   *
   * @param values the grid values
   * @param order the weights in the order in which they were fixed
   * @param loss the sum of the ΔL
   */
  public record Row(ImmutableDoubleArray values, ImmutableIntArray order, double loss) {}

  private OptimalBrainQuantizer() {}

  /**
   * Quantizes one row.
   *
   * @param weights the row
   * @param inverse H⁻¹
   * @param quant rounds to the grid
   */
  public static Row quantize(double[] weights, double[][] inverse, DoubleUnaryOperator quant) {
    int n = weights.length;
    double[] w = weights.clone();
    double[][] a = new double[n][];
    for (int i = 0; i < n; i++) {
      a[i] = inverse[i].clone();
    }
    boolean[] fixed = new boolean[n];
    int[] order = new int[n];
    double loss = 0;
    for (int step = 0; step < n; step++) {
      int q = cheapest(w, a, fixed, quant);
      double value = quant.applyAsDouble(w[q]);
      double r = w[q] - value;
      loss += r * r / (2 * a[q][q]);
      for (int k = 0; k < n; k++) {
        if (!fixed[k]) {
          w[k] -= r / a[q][q] * a[k][q];
        }
      }
      w[q] = value;
      fixed[q] = true;
      order[step] = q;
      eliminate(a, q);
    }
    return new Row(ImmutableDoubleArray.copyOf(w), ImmutableIntArray.copyOf(order), loss);
  }

  private static int cheapest(
      double[] w, double[][] a, boolean[] fixed, DoubleUnaryOperator quant) {
    int best = -1;
    double least = Double.POSITIVE_INFINITY;
    for (int q = 0; q < w.length; q++) {
      double r = w[q] - quant.applyAsDouble(w[q]);
      if (!fixed[q] && r * r / a[q][q] < least) {
        least = r * r / a[q][q];
        best = q;
      }
    }
    return best;
  }

  /** Gaussian elimination of q from the inverse: what remains is the inverse without q. */
  private static void eliminate(double[][] a, int q) {
    double[] row = a[q].clone();
    double pivot = row[q];
    for (int i = 0; i < a.length; i++) {
      double factor = a[i][q] / pivot;
      for (int k = 0; k < a.length; k++) {
        a[i][k] -= factor * row[k];
      }
    }
  }
}
