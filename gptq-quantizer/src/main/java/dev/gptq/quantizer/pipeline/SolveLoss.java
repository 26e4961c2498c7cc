package dev.gptq.quantizer.pipeline;

import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Locale;

/**
 * What GPTQ minimises, {@code tr(D(H + λI)Dᵀ)} over the number of tokens with {@code D = T − Q} and
 * the target T, for its result and for rounding to nearest. It chooses one column at a time and
 * cannot go back, so that it may be the worse of the two. Columns whose input was never active
 * count for nothing.
 *
 * @param quantized with Q what GPTQ made
 * @param nearest with Q the weights rounded to nearest
 */
record SolveLoss(double quantized, double nearest) {
  /** Where GPTQ was not tried: neither is better. */
  static final SolveLoss NONE = new SolveLoss(Double.NaN, Double.NaN);

  /** Whether rounding to nearest comes closer to what GPTQ minimises. */
  boolean favoursRounding() {
    return nearest < quantized;
  }

  /** For people. */
  String whyRounded() {
    return String.format(
        Locale.ROOT, "GPTQ came to a loss of %.4g where rounding has %.4g", quantized, nearest);
  }

  SolveLoss plus(SolveLoss other) {
    return new SolveLoss(quantized + other.quantized, nearest + other.nearest);
  }

  /**
   * What the losses of modules are computed from.
   *
   * @param targetIsWeights whether T is the weights, so that errors that are known already lack
   *     nothing but λ
   */
  record Measure(Backend backend, Hessian hessian, HessianFactor factor, boolean targetIsWeights) {

    /**
     * The losses of one module.
     *
     * @param target T, F32, rows × columns
     * @param errors of the same two results beside the weights
     */
    SolveLoss of(
        Tensor target, QuantizedMatrix quantized, QuantizedMatrix nearest, OutputErrors errors) {
      try (TensorScope local = backend.newScope()) {
        // All sums are queued before the first is waited for.
        Tensor squares = local.zeros(DType.F64, 2, 1, Layout.ROW_MAJOR);
        Tensor outputs = local.zeros(DType.F64, 2, 1, Layout.ROW_MAJOR);
        add(target, quantized, squares.rows(0, 1), outputs.rows(0, 1));
        add(target, nearest, squares.rows(1, 2), outputs.rows(1, 2));
        double[] damping = HostCopies.doubles(squares);
        double[] output = HostCopies.doubles(outputs);
        double tokens = hessian.tokens();
        double lambda = factor.lambda() / tokens;
        return new SolveLoss(
            lambda * damping[0] + (targetIsWeights ? errors.error() : output[0] / tokens),
            lambda * damping[1] + (targetIsWeights ? errors.rtn() : output[1] / tokens));
      }
    }

    private void add(Tensor target, QuantizedMatrix matrix, Tensor squares, Tensor outputs) {
      try (TensorScope local = backend.newScope()) {
        Tensor difference = local.columnMajor(DType.F32, target.rows(), target.columns());
        matrix.dequantize(backend, difference);
        backend.linalg().axpy(-1, target, difference);
        if (!targetIsWeights) {
          hessian.addSquaredOutput(difference, outputs);
        }
        if (!factor.dead().isEmpty()) {
          backend.linalg().zeroColumns(local.upload(Ints.toArray(factor.dead())), difference);
        }
        backend.linalg().addSumOfSquares(difference, squares);
      }
    }
  }
}
