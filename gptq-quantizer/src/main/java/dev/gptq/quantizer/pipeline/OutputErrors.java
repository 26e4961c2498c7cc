package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * Mean squared outputs over the calibration tokens, undamped: {@code tr(A·H·Aᵀ)} over the number of
 * tokens.
 *
 * @param error with A the quantization error {@code Q − W}
 * @param rtn with A the error of rounding to nearest
 * @param signal with A the weights W
 */
public record OutputErrors(double error, double rtn, double signal) {
  /** Where no token was seen. */
  public static final OutputErrors NONE = new OutputErrors(Double.NaN, Double.NaN, Double.NaN);

  /**
   * Measures one module.
   *
   * @param weight W, F32, rows × columns
   * @param nearest W rounded to nearest
   * @param quantized Q
   */
  public static OutputErrors of(
      Backend backend,
      Tensor weight,
      QuantizedMatrix nearest,
      QuantizedMatrix quantized,
      Hessian hessian) {
    try (TensorScope local = backend.newScope()) {
      // All sums are queued before the first is waited for.
      Tensor totals = local.zeros(DType.F64, 3, 1, Layout.ROW_MAJOR);
      addError(backend, weight, quantized, hessian, totals.rows(0, 1));
      addError(backend, weight, nearest, hessian, totals.rows(1, 2));
      hessian.addSquaredOutput(weight, totals.rows(2, 3));
      double[] sums = HostCopies.doubles(totals);
      double tokens = hessian.tokens();
      return new OutputErrors(sums[0] / tokens, sums[1] / tokens, sums[2] / tokens);
    }
  }

  private static void addError(
      Backend backend, Tensor weight, QuantizedMatrix quantized, Hessian hessian, Tensor total) {
    try (TensorScope local = backend.newScope()) {
      Tensor difference = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      quantized.dequantize(backend, difference);
      backend.linalg().axpy(-1, weight, difference);
      hessian.addSquaredOutput(difference, total);
    }
  }

  /** {@link #error} as a share of the signal. */
  public double relativeError() {
    return error / signal;
  }

  /** {@link #rtn} as a share of the signal. */
  public double relativeRtn() {
    return rtn / signal;
  }
}
