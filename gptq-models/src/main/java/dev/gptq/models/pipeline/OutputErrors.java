package dev.gptq.models.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.tensor.DType;
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
    return new OutputErrors(
        error(backend, weight, quantized, hessian),
        error(backend, weight, nearest, hessian),
        hessian.meanSquaredOutput(weight));
  }

  private static double error(
      Backend backend, Tensor weight, QuantizedMatrix quantized, Hessian hessian) {
    try (TensorScope local = backend.newScope()) {
      Tensor difference = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      quantized.dequantize(backend, difference);
      backend.linalg().axpy(-1, weight, difference);
      return hessian.meanSquaredOutput(difference);
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
