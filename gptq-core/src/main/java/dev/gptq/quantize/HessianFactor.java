package dev.gptq.quantize;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
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
   * Orders, damps and factors H, which is left as it is. A dead column (zero diagonal: its input
   * was never active) gets a diagonal of 1, before the mean for the damping is taken. If a pivot
   * fails, λ is doubled until it succeeds; {@link #damping()} tells what was needed.
   *
   * @throws CalibrationException if H has NaN or infinite entries, or no damping up to the mean
   *     diagonal itself makes it positive definite
   */
  public static HessianFactor of(
      Backend backend, Hessian hessian, GptqOptions options, TensorScope result) {
    return replacing(backend, hessian.copy(backend, result), options, result);
  }

  /**
   * {@link #of} for those who need H no more, so that the largest models take a square of 10 GB
   * less: what the options need of H takes its place, and its memory is given back if they need
   * nothing.
   */
  public static HessianFactor replacing(
      Backend backend, Hessian hessian, GptqOptions options, TensorScope result) {
    int n = hessian.columns();
    try (TensorScope local = backend.newScope()) {
      float[] diagonal = hessian.diagonal();
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
      Tensor lower = result.rowMajor(DType.F32, n, n);
      Damping damping =
          new Damping(
              hessian.matrix(),
              local.upload(order),
              dead.length == 0
                  ? Optional.empty()
                  : Optional.of(local.upload(permute(repair, order))),
              mean,
              options.needsDampedHessian());
      double share = damping.factor(backend, options.damping(), lower);
      Optional<Tensor> damped = Optional.empty();
      if (options.needsDampedHessian()) {
        damping.add(backend, share, hessian.matrix());
        damped = Optional.of(hessian.matrix());
      } else {
        hessian.release(backend);
      }
      return new HessianFactor(
          backend,
          ImmutableList.copyOf(Ints.asList(order)),
          ImmutableList.copyOf(Ints.asList(dead)),
          damped,
          lower.transposed(),
          share,
          damping.lambda(share));
    }
  }

  /**
   * H and what is added to its diagonal.
   *
   * @param matrix H; if it is to be kept, soon in the order of quantization and repaired
   * @param order the columns in the order of quantization
   * @param repair what dead columns get, 1 × columns, in that order, if there are any
   * @param mean of the repaired diagonal
   */
  private record Damping(
      Tensor matrix, Tensor order, Optional<Tensor> repair, double mean, boolean keep) {
    float lambda(double share) {
      return (float) (share * mean);
    }

    /** Raises the damping until the factorisation into {@code lower} succeeds and returns it. */
    double factor(Backend backend, double least, Tensor lower) {
      arrange(backend, lower);
      if (keep) {
        backend.linalg().convert(lower, matrix);
      }
      for (double share = least; ; share = Math.max(2 * share, GptqOptions.DEFAULT_DAMPING)) {
        add(backend, share, lower);
        try {
          backend.linalg().cholesky(lower);
          return share;
        } catch (NotPositiveDefiniteException e) {
          if (share >= 1) {
            throw new CalibrationException(
                "the Hessian is not positive definite even when damped by its mean diagonal; use"
                    + " more or more varied calibration text",
                e);
          }
        }
        if (keep) {
          backend.linalg().convert(matrix, lower);
        } else {
          arrange(backend, lower);
        }
      }
    }

    private void arrange(Backend backend, Tensor h) {
      backend.linalg().gatherSymmetric(matrix, order, h);
      repair.ifPresent(ones -> backend.linalg().addToDiagonal(ones, h));
    }

    void add(Backend backend, double share, Tensor h) {
      float[] lambda = new float[h.rows()];
      Arrays.fill(lambda, lambda(share));
      try (TensorScope local = backend.newScope()) {
        backend.linalg().addToDiagonal(local.upload(lambda), h);
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

  /** λ itself, as it was added to the diagonal. */
  public double lambda() {
    return lambda;
  }

  /** The share of the mean diagonal that λ had to be. */
  public double damping() {
    return damping;
  }
}
