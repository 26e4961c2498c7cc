package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.RowPieces;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Mean squared outputs over the calibration tokens, undamped: {@code tr(A·H·Aᵀ)} over the number of
 * tokens.
 *
 * @param error with A the quantization error {@code W − Q}
 * @param rtn with A the error of rounding to nearest
 * @param signal with A the weights W
 */
public record OutputErrors(double error, double rtn, double signal) {
  /** Numbers of A that are held at a time. */
  private static final long ELEMENTS = 1L << 27;

  /** Where no token was seen. */
  public static final OutputErrors NONE = new OutputErrors(Double.NaN, Double.NaN, Double.NaN);

  /**
   * Begins to measure modules that share an input and are rounded to nearest so far, so that both
   * errors are the same.
   *
   * @param weights W of all modules, one below the other, F32, rows × columns
   * @param nearest W rounded to nearest
   * @param rows of each module
   * @param scope holds the sums until they are asked for
   * @return waits for the sums
   */
  static Supplier<ImmutableList<OutputErrors>> ofNearest(
      Backend backend,
      Tensor weights,
      QuantizedMatrix nearest,
      List<Integer> rows,
      Hessian hessian,
      TensorScope scope) {
    Tensor totals = scope.zeros(DType.F64, 2 * rows.size(), 1, Layout.ROW_MAJOR);
    int from = 0;
    for (int i = 0; i < rows.size(); i++) {
      int to = from + rows.get(i);
      Tensor weight = weights.rows(from, to);
      addError(backend, weight, nearest.rows(from, to), hessian, totals.rows(2 * i, 2 * i + 1));
      hessian.addSquaredOutput(weight, totals.rows(2 * i + 1, 2 * i + 2));
      from = to;
    }
    double tokens = hessian.tokens();
    int modules = rows.size();
    return () -> {
      double[] sums = HostCopies.doubles(totals);
      return IntStream.range(0, modules)
          .mapToObj(i -> new OutputErrors(sums[2 * i], sums[2 * i], sums[2 * i + 1]).over(tokens))
          .collect(ImmutableList.toImmutableList());
    };
  }

  /** The same beside another quantization, of error {@code tr(A·H·Aᵀ)} over that many tokens. */
  OutputErrors withError(double sum, long tokens) {
    return new OutputErrors(sum / tokens, rtn, signal);
  }

  private OutputErrors over(double tokens) {
    return new OutputErrors(error / tokens, rtn / tokens, signal / tokens);
  }

  /** {@code tr(A·H·Aᵀ)} with {@code A = W − Q}. */
  static double error(Backend backend, Tensor weight, QuantizedMatrix quantized, Hessian hessian) {
    try (TensorScope local = backend.newScope()) {
      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      addError(backend, weight, quantized, hessian, total);
      return HostCopies.scalar(total);
    }
  }

  private static void addError(
      Backend backend, Tensor weight, QuantizedMatrix quantized, Hessian hessian, Tensor total) {
    int step = RowPieces.of(ELEMENTS / weight.columns(), weight.rows());
    for (int from = 0; from < weight.rows(); from += step) {
      int to = Math.min(from + step, weight.rows());
      try (TensorScope local = backend.newScope()) {
        Tensor difference = local.columnMajor(DType.F32, to - from, weight.columns());
        quantized.rows(from, to).subtractFrom(backend, weight.rows(from, to), difference);
        hessian.addSquaredOutput(difference, total);
      }
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
