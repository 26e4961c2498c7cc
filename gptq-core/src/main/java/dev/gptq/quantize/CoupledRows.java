package dev.gptq.quantize;

import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * GPTQ along the rows, around that along the columns. What a change D of the weights costs the
 * whole model is about {@code ½·tr(G·D·H·Dᵀ)}: H is the Hessian of the input, and G couples the
 * outputs, the mean of {@code g·gᵀ} over tokens with g the gradient of the loss with respect to
 * them. With {@code V·Vᵀ = G + λI}, V upper triangular in the order in which rows are quantized,
 * and the rows before a block K done, the later ones can make up best for what is left if K comes
 * close to
 *
 * <pre>
 *   W'_K = W_K + (V_{&lt;K,K}·V_KK⁻¹)ᵀ·D_{&lt;K},   D = W − Q
 * </pre>
 *
 * <p>which is the loop of {@link PanelLoop} turned around. Inside a block rows are taken to know
 * nothing of each other, each is quantized as any row is: with blocks of one row this is the same
 * as to round, in each column, the rows one after the other and feed their errors forward with
 * {@code V⁻¹}, before the column's error goes to the columns to come.
 *
 * <p>Source of the curvature: Tseng, Sun and De Sa, "Model-Preserving Adaptive Rounding" (2025).
 */
final class CoupledRows {
  /** Blocks of rows: what rows of one block owe each other is a small part of all. */
  static final int BLOCKS = 8;

  private final Backend backend;
  private final HessianFactor rows;
  private final Tensor weight;
  private final Tensor difference;

  /** Nothing is quantized yet. Rows of {@code weight}, which is left as it is, are copied. */
  CoupledRows(Backend backend, Tensor weight, HessianFactor rows, TensorScope scope) {
    this.backend = backend;
    this.rows = rows;
    this.weight = scope.columnMajor(DType.F32, weight.rows(), weight.columns());
    this.difference = scope.columnMajor(DType.F32, weight.rows(), weight.columns());
    try (TensorScope local = backend.newScope()) {
      Tensor stored = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      backend.linalg().convert(weight, stored);
      gatherRows(stored, local.upload(Ints.toArray(rows.order())), this.weight);
    }
  }

  /** Rows of a block. */
  static int together(int rows) {
    return Math.ceilDiv(rows, BLOCKS);
  }

  /** What the rows from … to − 1, in their order, are to come close to. */
  Tensor target(int from, int to, TensorScope scope) {
    int n = weight.columns();
    LinearAlgebra la = backend.linalg();
    Tensor target = scope.columnMajor(DType.F32, to - from, n);
    la.convert(weight.rows(from, to), target);
    if (from > 0) {
      try (TensorScope local = backend.newScope()) {
        Tensor known = local.columnMajor(DType.F32, to - from, n);
        Tensor v = rows.v().rows(0, from).columns(from, to);
        la.gemm(1, v.transposed(), difference.rows(0, from), 0, known);
        la.gemm(1, rows.inverse(from, to, local).transposed(), known, 1, target);
      }
    }
    return target;
  }

  /** Takes note of what has become of these rows. */
  void decide(int from, int to, QuantizedMatrix quantized) {
    try (TensorScope local = backend.newScope()) {
      Tensor values = local.columnMajor(DType.F32, to - from, weight.columns());
      quantized.dequantize(backend, values);
      backend.linalg().convert(weight.rows(from, to), difference.rows(from, to));
      backend.linalg().axpy(-1, values, difference.rows(from, to));
    }
  }

  /** Copies a matrix whose rows are in their order to one that has them as they are stored. */
  void toStoredOrder(Tensor ordered, Tensor stored) {
    try (TensorScope local = backend.newScope()) {
      gatherRows(ordered, local.upload(rows.positions()), stored);
    }
  }

  private void gatherRows(Tensor from, Tensor index, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), index, to.transposed());
  }
}
