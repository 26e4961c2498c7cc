package dev.gptq.quantize;

import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * How the input of a layer has moved because everything before it is quantized already: {@code D =
 * Σ (x − x̂)·x̂ᵀ} over the calibration tokens, with x the input in the full-precision model and x̂
 * in the quantized one, whose Hessian is {@code H = Σ x̂·x̂ᵀ}. For a layer whose output is added to
 * the residual stream r also {@code E = Σ (r − r̂)·x̂ᵀ}.
 *
 * <p>What the layer should compute from x̂ is what it computed from x (and what the residual stream
 * lacks); the least-squares weights for that are the target that is quantized in place of W:
 *
 * <pre>
 *   W* = W + α·(W·D + E)·(H + λI)⁻¹
 * </pre>
 *
 * <p>Source: quantization error propagation (Arai and Ichikawa, 2025), there without E.
 */
public final class InputDrift {
  private final Backend backend;
  private final Tensor drift;
  private final Optional<Tensor> residual;

  /**
   * Empty sums in the memory of {@code scope}.
   *
   * @param columns input features
   * @param residualColumns features of the residual stream, for layers that write into it
   */
  public InputDrift(
      Backend backend, TensorScope scope, int columns, Optional<Integer> residualColumns) {
    this.backend = backend;
    this.drift = scope.zeros(DType.F32, columns, columns, Layout.ROW_MAJOR);
    this.residual =
        residualColumns.map(width -> scope.zeros(DType.F32, width, columns, Layout.ROW_MAJOR));
  }

  /** Whether {@link #addResidual} belongs to each {@link #add}. */
  public boolean wantsResidual() {
    return residual.isPresent();
  }

  /** Adds tokens; full and quantized are tokens × columns of the same type. */
  public void add(Tensor full, Tensor quantized) {
    add(full, quantized, quantized);
  }

  /** The same with {@code input} in place of x̂: x̂ times the weights of its tokens. */
  public void add(Tensor full, Tensor quantized, Tensor input) {
    add(full, quantized, input, drift);
  }

  /** Adds the same tokens' residual streams beside the quantized input. */
  public void addResidual(Tensor full, Tensor quantized, Tensor input) {
    add(full, quantized, input, residual.orElseThrow());
  }

  /**
   * Adds other sums.
   *
   * @param elsewhere whether they lie on another device, which was waited for
   */
  public void add(InputDrift other, boolean elsewhere) {
    Hessian.add(backend, other.drift, elsewhere, drift);
    residual.ifPresent(sum -> Hessian.add(backend, other.residual.orElseThrow(), elsewhere, sum));
  }

  private void add(Tensor full, Tensor quantized, Tensor input, Tensor sum) {
    try (TensorScope local = backend.newScope()) {
      Tensor difference = local.rowMajor(full.type(), full.rows(), full.columns());
      backend.linalg().convert(full, difference);
      backend.linalg().axpy(-1, quantized, difference);
      backend.linalg().gemm(1, difference.transposed(), input, 1, sum);
    }
  }

  /**
   * The target W*.
   *
   * @param weight rows × columns of a real type
   * @param factor of the layer's Hessian
   * @param alpha 0 for W itself, 1 for the least-squares weights; less guards against fitting the
   *     calibration text
   * @return F32, rows × columns, in {@code scope}
   */
  public Tensor target(Tensor weight, HessianFactor factor, double alpha, TensorScope scope) {
    int m = weight.rows();
    int n = weight.columns();
    LinearAlgebra la = backend.linalg();
    Tensor target = scope.columnMajor(DType.F32, m, n);
    la.convert(weight, target);
    try (TensorScope local = backend.newScope()) {
      Tensor correlation = local.columnMajor(DType.F32, m, n);
      la.gemm(1, target, drift, 0, correlation);
      residual.ifPresent(e -> la.axpy(1, e, correlation));
      Tensor ordered = local.columnMajor(DType.F32, m, n);
      la.gatherColumns(correlation, local.upload(Ints.toArray(factor.order())), ordered);
      FactorSolve.of(backend, factor, local).run(ordered);
      la.gatherColumns(ordered, local.upload(factor.positions()), correlation);
      la.axpy((float) alpha, correlation, target);
    }
    return target;
  }
}
