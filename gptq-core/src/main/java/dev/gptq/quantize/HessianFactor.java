package dev.gptq.quantize;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * What the column loop needs of a Hessian: the order of the columns and the upper triangular V with
 * {@code V·Vᵀ = H + λI} in that order. Computed once for all layers that share the input.
 */
public final class HessianFactor {
  private final Backend backend;
  private final ImmutableList<Integer> order;
  private final ImmutableList<Integer> dead;
  private final Optional<Tensor> damped;
  private final Tensor v;
  private final double damping;
  private final double lambda;

  private HessianFactor(
      Backend backend,
      ImmutableList<Integer> order,
      ImmutableList<Integer> dead,
      Optional<Tensor> damped,
      Tensor v,
      double damping,
      double lambda) {
    this.backend = backend;
    this.order = order;
    this.dead = dead;
    this.damped = damped;
    this.v = v;
    this.damping = damping;
    this.lambda = lambda;
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
      Damped damped =
          new Damped(
              hessian.matrix(), local.upload(order), local.upload(permute(repair, order)), mean);
      // A square of 10 GB in the largest models: kept only for those who look at it again.
      Optional<Tensor> kept =
          options.needsDampedHessian()
              ? Optional.of(result.rowMajor(DType.F32, n, n))
              : Optional.empty();
      Tensor factor = result.rowMajor(DType.F32, n, n);
      double damping = factor(backend, damped, options.damping(), kept, factor);
      return new HessianFactor(
          backend,
          ImmutableList.copyOf(Ints.asList(order)),
          ImmutableList.copyOf(Ints.asList(dead)),
          kept,
          factor.transposed(),
          damping,
          damped.lambda(damping));
    }
  }

  /**
   * H with what is added to its diagonal.
   *
   * @param order the columns in the order of quantization
   * @param repair what dead columns get, 1 × columns, in that order
   * @param mean of the repaired diagonal
   */
  private record Damped(Tensor matrix, Tensor order, Tensor repair, double mean) {
    /** λ as it is added: a float32. */
    float lambda(double share) {
      return (float) (share * mean);
    }

    void writeTo(Backend backend, double share, Tensor h) {
      float[] lambda = new float[h.rows()];
      Arrays.fill(lambda, lambda(share));
      try (TensorScope local = backend.newScope()) {
        backend.linalg().gatherSymmetric(matrix, order, h);
        backend.linalg().addToDiagonal(repair, h);
        backend.linalg().addToDiagonal(local.upload(lambda), h);
      }
    }
  }

  /** Raises the damping until the factorisation into {@code lower} succeeds and returns it. */
  private static double factor(
      Backend backend, Damped damped, double damping, Optional<Tensor> kept, Tensor lower) {
    for (double share = damping; ; share = Math.max(2 * share, GptqOptions.DEFAULT_DAMPING)) {
      damped.writeTo(backend, share, lower);
      kept.ifPresent(copy -> backend.linalg().convert(lower, copy));
      try {
        backend.linalg().cholesky(lower);
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

  /**
   * V, columns × columns, in the order of quantization; what lies below its diagonal is of no
   * meaning.
   */
  public Tensor v() {
    return v;
  }

  /** The diagonal block of {@code U = V⁻¹} of these columns, rows contiguous, in {@code scope}. */
  Tensor inverse(int from, int to, TensorScope scope) {
    Tensor u = scope.rowMajor(DType.F32, to - from, to - from);
    backend.linalg().invertDiagonalBlocks(v.rows(from, to).columns(from, to), u);
    return u;
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

  /** λ itself. */
  public double lambda() {
    return lambda;
  }
}
