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

    private void add(Tensor target, QuantizedMatrix matrix, Tensor squares, Tensor outputs) {
      try (TensorScope local = backend.newScope()) {
        Tensor difference = local.columnMajor(DType.F32, target.rows(), target.columns());
        matrix.subtractFrom(backend, target, difference);
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

  /**
   * Losses of modules that are being computed.
   *
   * @param sums of {@code |D|²} and of {@code tr(D·H·Dᵀ)}, unless that is known, both for GPTQ's
   *     result and for the weights rounded to nearest; those of all modules, so that they are
   *     waited for once
   */
  record Begun(Measure measure, Tensor sums) {
    private static final int OF_MODULE = 4;

    /** Sums that are held by a scope until they are asked for. */
    static Begun of(Measure measure, int modules, TensorScope scope) {
      return new Begun(measure, scope.zeros(DType.F64, OF_MODULE * modules, 1, Layout.ROW_MAJOR));
    }

    /**
     * Begins to compute the losses of one module.
     *
     * @param target T, F32, rows × columns
     */
    void add(int module, Tensor target, QuantizedMatrix quantized, QuantizedMatrix nearest) {
      int at = OF_MODULE * module;
      measure.add(target, quantized, sums.rows(at, at + 1), sums.rows(at + 2, at + 3));
      measure.add(target, nearest, sums.rows(at + 1, at + 2), sums.rows(at + 3, at + 4));
    }

    /** Waits for the sums. */
    double[] await() {
      return HostCopies.doubles(sums);
    }

    /**
     * The losses of a module.
     *
     * @param all the sums
     * @param errors of the same two results beside the weights
     */
    SolveLoss loss(int module, double[] all, OutputErrors errors) {
      int at = OF_MODULE * module;
      double tokens = measure.hessian().tokens();
      double lambda = measure.factor().lambda() / tokens;
      boolean known = measure.targetIsWeights();
      return new SolveLoss(
          lambda * all[at] + (known ? errors.error() : all[at + 2] / tokens),
          lambda * all[at + 1] + (known ? errors.rtn() : all[at + 3] / tokens));
    }
  }
}
