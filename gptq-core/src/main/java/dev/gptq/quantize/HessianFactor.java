package dev.gptq.quantize;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * What the column loop needs of a Hessian: the order of the columns and the upper triangular U with
 * {@code UᵀU = (H + λI)⁻¹} in that order. Computed once for all layers that share the input.
 */
public final class HessianFactor {
  private final ImmutableList<Integer> order;
  private final ImmutableList<Integer> dead;
  private final Optional<Tensor> damped;
  private final Tensor upper;
  private final double damping;

  private HessianFactor(
      ImmutableList<Integer> order,
      ImmutableList<Integer> dead,
      Optional<Tensor> damped,
      Tensor upper,
      double damping) {
    this.order = order;
    this.dead = dead;
    this.damped = damped;
    this.upper = upper;
    this.damping = damping;
  }

  /**
   * Orders, damps and factors H. A dead column (zero diagonal: its input was never active) gets a
   * diagonal of 1, before the mean for the damping is taken. If a pivot fails, λ is doubled until
   * it succeeds; {@link #damping()} tells what was needed.
   *
   * @throws CalibrationException if H has NaN or infinite entries, or no damping up to the mean
   *     diagonal itself makes it positive definite
   */
  public static HessianFactor of(
      Backend backend, Hessian hessian, GptqOptions options, TensorScope result) {
    LinearAlgebra la = backend.linalg();
    int n = hessian.columns();
    try (TensorScope local = backend.newScope()) {
      Tensor row = local.rowMajor(DType.F32, 1, n);
      la.diagonal(hessian.matrix(), row);
      float[] diagonal = HostCopies.floats(row);
      int[] dead = IntStream.range(0, n).filter(j -> diagonal[j] == 0).toArray();
      float[] repair = new float[n];
      for (int j : dead) {
        diagonal[j] = 1;
        repair[j] = 1;
      }
      double mean = IntStream.range(0, n).mapToDouble(j -> diagonal[j]).average().orElse(0);
      if (!Double.isFinite(mean)) {
        throw new CalibrationException(
            "the Hessian has NaN or infinite entries: calibration activations overflow");
      }
      int[] order = options.order().of(diagonal, options.groupColumns(n));
      Tensor index = local.upload(order);
      // A square of 10 GB in the largest models: kept only for those who look at it again.
      boolean kept = options.needsDampedHessian();
      Tensor h = (kept ? result : local).rowMajor(DType.F32, n, n);
      la.gatherSymmetric(hessian.matrix(), index, h);
      la.addToDiagonal(local.upload(permute(repair, order)), h);
      Tensor upper = result.allocate(DType.F32, n, n, Layout.ROW_MAJOR);
      double damping = factor(la, local, h, mean, options.damping(), upper);
      return new HessianFactor(
          ImmutableList.copyOf(Ints.asList(order)),
          ImmutableList.copyOf(Ints.asList(dead)),
          kept ? Optional.of(h) : Optional.empty(),
          upper,
          damping);
    }
  }

  /** Raises the damping until the factorisation succeeds and returns it. */
  private static double factor(
      LinearAlgebra la, TensorScope local, Tensor h, double mean, double damping, Tensor upper) {
    double tried = 0;
    for (double share = damping; ; share = Math.max(2 * share, GptqOptions.DEFAULT_DAMPING)) {
      float[] lambda = new float[h.rows()];
      Arrays.fill(lambda, (float) ((share - tried) * mean));
      la.addToDiagonal(local.upload(lambda), h);
      tried = share;
      try {
        la.inverseCholeskyUpper(h, upper);
        return share;
      } catch (NotPositiveDefiniteException e) {
        if (share >= 1) {
          throw new CalibrationException(
              "the Hessian is not positive definite even when damped by its mean diagonal; use more"
                  + " or more varied calibration text",
              e);
        }
      }
    }
  }

  private static float[] permute(float[] values, int[] order) {
    float[] permuted = new float[order.length];
    for (int j = 0; j < order.length; j++) {
      permuted[j] = values[order[j]];
    }
    return permuted;
  }

  /** Stored column of each position of the order of quantization. */
  public ImmutableList<Integer> order() {
    return order;
  }

  /** Position in the order of quantization of each stored column. */
  int[] positions() {
    int[] positions = new int[order.size()];
    for (int p = 0; p < positions.length; p++) {
      positions[order.get(p)] = p;
    }
    return positions;
  }

  /** Stored columns whose input was never active. */
  public ImmutableList<Integer> dead() {
    return dead;
  }

  /** U, columns × columns, in the order of quantization. */
  public Tensor upper() {
    return upper;
  }

  /**
   * H + λI, columns × columns, both triangles, in the order of quantization. Throws {@link
   * IllegalStateException} if the options that it was factored with have no use for it.
   */
  public Tensor damped() {
    return damped.orElseThrow(
        () -> new IllegalStateException("the factor was made for options without refinement"));
  }

  /** The share of the mean diagonal that λ had to be. */
  public double damping() {
    return damping;
  }
}
