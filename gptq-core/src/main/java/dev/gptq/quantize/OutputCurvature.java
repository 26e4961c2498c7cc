package dev.gptq.quantize;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;

/**
 * How the loss of the whole model couples the outputs of layers that share an input: {@code G = Σ
 * g·gᵀ} over gradients g of the loss with respect to all these outputs. Of very many outputs G is
 * kept in blocks on its diagonal, and what lies between blocks counts as zero.
 */
public final class OutputCurvature {
  /** Outputs of a block at most. */
  public static final int MOST = 4096;

  /** What is added to the diagonal, as a share of its mean. */
  public static final double DAMPING = 0.1;

  /** What the diagonal weighs more where there are as many gradients as outputs. */
  private static final double ALL_CHANCE = 2;

  private static final GptqOptions OPTIONS =
      GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, 4), GptqOptions.PER_ROW)
          .withOrder(ColumnOrder.ACTIVATION)
          .withDamping(DAMPING);

  private final ImmutableList<Hessian> blocks;

  private OutputCurvature(ImmutableList<Hessian> blocks) {
    this.blocks = blocks;
  }

  /** Empty sums for so many outputs, in the memory of {@code scope}. */
  public OutputCurvature(Backend backend, TensorScope scope, int outputs) {
    ImmutableList.Builder<Hessian> sums = ImmutableList.builder();
    for (int from = 0; from < outputs; from += MOST) {
      sums.add(new Hessian(backend, scope, Math.min(MOST, outputs - from)));
    }
    this.blocks = sums.build();
  }

  /**
   * Sums that were taken before.
   *
   * @param sums as {@link #sums} gave them
   * @param gradients number of gradients in them
   */
  public static OutputCurvature of(Backend backend, List<Tensor> sums, long gradients) {
    return new OutputCurvature(
        sums.stream()
            .map(sum -> Hessian.of(backend, sum, gradients))
            .collect(ImmutableList.toImmutableList()));
  }

  /** Numbers that the sums of so many outputs hold. */
  public static long size(int outputs) {
    long whole = outputs / MOST;
    long rest = outputs % MOST;
    return whole * MOST * MOST + rest * rest;
  }

  /** Adds gradients, tokens × outputs of a real type. */
  public void add(Tensor gradients) {
    int from = 0;
    for (Hessian block : blocks) {
      int to = from + block.columns();
      block.add(gradients.columns(from, to));
      from = to;
    }
  }

  /** Makes the sums ready for lanes of their backend. */
  public void finish() {
    blocks.forEach(Hessian::matrix);
  }

  /** The sums of all blocks, F32, as many rows and columns as a block has outputs. */
  public ImmutableList<Tensor> sums() {
    return blocks.stream().map(Hessian::matrix).collect(ImmutableList.toImmutableList());
  }

  /**
   * Factors for some of the outputs, one after the other, each of as many of them as lie in one
   * block.
   *
   * @param outputs ascending
   */
  public ImmutableList<HessianFactor> factors(
      Backend backend, List<Integer> outputs, TensorScope scope) {
    ImmutableList.Builder<HessianFactor> factors = ImmutableList.builder();
    int from = 0;
    for (Hessian block : blocks) {
      int first = from;
      int[] own =
          Ints.toArray(
              outputs.stream()
                  .filter(output -> output >= first && output < first + block.columns())
                  .map(output -> output - first)
                  .toList());
      if (own.length > 0) {
        factors.add(factor(backend, block, own, scope));
      }
      from += block.columns();
    }
    return factors.build();
  }

  /**
   * With a mean diagonal of 1, so that an output that no loss depends on weighs no more, and with
   * less beside the diagonal where gradients are few.
   */
  private static HessianFactor factor(
      Backend backend, Hessian block, int[] own, TensorScope scope) {
    LinearAlgebra la = backend.linalg();
    int n = own.length;
    try (TensorScope local = backend.newScope()) {
      Tensor some = local.rowMajor(DType.F32, n, n);
      Tensor index = local.upload(own);
      Tensor columns = local.rowMajor(DType.F32, block.columns(), n);
      la.gatherColumns(block.on(backend).matrix(), index, columns);
      la.gatherColumns(columns.transposed(), index, some.transposed());
      Tensor diagonal = local.rowMajor(DType.F32, 1, n);
      la.diagonal(some, diagonal);
      double sum = 0;
      for (float d : HostCopies.floats(diagonal)) {
        sum += d;
      }
      Tensor unit = local.zeros(DType.F32, n, n, Layout.ROW_MAJOR);
      if (sum > 0) {
        double chance = chance(n, block.tokens());
        la.axpy((float) ((1 - chance) * n / sum), some, unit);
        if (chance > 0) {
          float[] rest = new float[n];
          Arrays.fill(rest, (float) chance);
          la.addToDiagonal(local.upload(rest), unit);
        }
      }
      return HessianFactor.of(backend, Hessian.of(backend, unit, block.tokens()), OPTIONS, scope);
    }
  }

  /**
   * Which part of the correlations between so many outputs is taken for chance. As with the Hessian
   * of few tokens, m gradients of n outputs know correlations to about n/m: together with {@link
   * #DAMPING} the diagonal weighs 2n/m more than what lies beside it. None from m = 20·n on.
   */
  static double chance(int outputs, long gradients) {
    double more = Math.max(0, ALL_CHANCE * outputs / gradients - DAMPING);
    return more / (1 + more);
  }

  /**
   * How much each token counts, from the squares of the gradients of its outputs: cut at their 99.9
   * % quantile, divided by their mean, and mixed half with 1.
   */
  public static float[] tokenWeights(float[] squares) {
    float most = sorted(squares, (int) (0.999 * (squares.length - 1)));
    double sum = 0;
    for (float square : squares) {
      sum += Math.min(square, most);
    }
    float[] weights = new float[squares.length];
    for (int t = 0; t < weights.length; t++) {
      double own = sum > 0 ? Math.min(squares[t], most) * weights.length / sum : 1;
      weights[t] = (float) (0.5 + 0.5 * own);
    }
    return weights;
  }

  /**
   * The number at a place of numbers in order, none of them negative: their bits are in the same
   * order, so that counts of upper and then of lower halves find it. Sorting takes ten times as
   * long where the code runs for the first time.
   */
  private static float sorted(float[] x, int place) {
    int[] upper = new int[1 << 16];
    for (float v : x) {
      upper[Float.floatToIntBits(v) >>> 16]++;
    }
    int high = 0;
    int before = 0;
    while (before + upper[high] <= place) {
      before += upper[high++];
    }
    int[] lower = new int[1 << 16];
    for (float v : x) {
      int bits = Float.floatToIntBits(v);
      if (bits >>> 16 == high) {
        lower[bits & 0xffff]++;
      }
    }
    int low = 0;
    while (before + lower[low] <= place) {
      before += lower[low++];
    }
    return Float.intBitsToFloat(high << 16 | low);
  }
}
