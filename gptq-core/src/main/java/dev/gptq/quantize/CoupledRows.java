package dev.gptq.quantize;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

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
 * <p>Rows of different factors know nothing of each other either. So their blocks are side by side,
 * the first of all, then the second: as few as there are in one, whatever the number of factors.
 *
 * <p>Source of the curvature: Tseng, Sun and De Sa, "Model-Preserving Adaptive Rounding" (2025).
 */
final class CoupledRows {
  /** Blocks of rows: what rows of one block owe each other is a small part of all. */
  static final int BLOCKS = 8;

  private final Backend backend;
  private final ImmutableList<Part> parts;
  private final int columns;

  /** Of each stored row, where it comes among the rows as they are decided. */
  private final int[] places;

  private int decided;

  /**
   * Nothing is quantized yet.
   *
   * @param weight W; its rows, which are left as they are, are copied
   * @param factors V, each of the next rows
   */
  CoupledRows(Backend backend, Tensor weight, List<HessianFactor> factors, TensorScope scope) {
    this.backend = backend;
    this.columns = weight.columns();
    this.places = new int[weight.rows()];
    ImmutableList.Builder<Part> all = ImmutableList.builder();
    int first = 0;
    for (HessianFactor factor : factors) {
      int end = first + factor.order().size();
      all.add(new Part(first, weight.rows(first, end), factor, scope));
      first = end;
    }
    this.parts = all.build();
  }

  /**
   * What the next blocks of all factors are to come close to, one below the other; no rows if there
   * are none.
   */
  Tensor target(TensorScope scope) {
    int rows = parts.stream().mapToInt(Part::next).sum();
    Tensor target = scope.columnMajor(DType.F32, rows, columns);
    int from = 0;
    for (Part part : parts) {
      int to = from + part.next();
      part.aim(target.rows(from, to));
      from = to;
    }
    return target;
  }

  /** Takes note of what has become of the rows of the last target. */
  void decide(QuantizedMatrix quantized) {
    int from = 0;
    for (Part part : parts) {
      int to = from + part.next();
      part.decide(quantized.rows(from, to), decided + from);
      from = to;
    }
    decided += from;
  }

  /**
   * Copies a matrix whose rows are as they were decided to one that has them as they are stored.
   */
  void toStoredOrder(Tensor ordered, Tensor stored) {
    try (TensorScope local = backend.newScope()) {
      gatherRows(ordered, local.upload(places), stored);
    }
  }

  private void gatherRows(Tensor from, Tensor index, Tensor to) {
    backend.linalg().gatherColumns(from.transposed(), index, to.transposed());
  }

  /** The rows of one factor. */
  private final class Part {
    private final int first;
    private final HessianFactor rows;
    private final Tensor weight;
    private final Tensor difference;
    private int done;

    /**
     * A part.
     *
     * @param first the stored row that is its first
     */
    Part(int first, Tensor weight, HessianFactor rows, TensorScope scope) {
      this.first = first;
      this.rows = rows;
      this.weight = scope.columnMajor(DType.F32, weight.rows(), columns);
      this.difference = scope.columnMajor(DType.F32, weight.rows(), columns);
      try (TensorScope local = backend.newScope()) {
        Tensor stored = local.columnMajor(DType.F32, weight.rows(), columns);
        backend.linalg().convert(weight, stored);
        gatherRows(stored, local.upload(Ints.toArray(rows.order())), this.weight);
      }
    }

    /** Rows of the next block. */
    int next() {
      return Math.min(Math.ceilDiv(weight.rows(), BLOCKS), weight.rows() - done);
    }

    void aim(Tensor target) {
      LinearAlgebra la = backend.linalg();
      int to = done + target.rows();
      la.convert(weight.rows(done, to), target);
      if (done > 0 && to > done) {
        try (TensorScope local = backend.newScope()) {
          Tensor known = local.columnMajor(DType.F32, to - done, columns);
          Tensor v = rows.v().rows(0, done).columns(done, to);
          la.gemm(1, v.transposed(), difference.rows(0, done), 0, known);
          la.gemm(1, rows.inverse(done, to, local).transposed(), known, 1, target);
        }
      }
    }

    void decide(QuantizedMatrix quantized, int at) {
      int to = done + quantized.codes().rows();
      try (TensorScope local = backend.newScope()) {
        Tensor values = local.columnMajor(DType.F32, to - done, columns);
        quantized.dequantize(backend, values);
        backend.linalg().convert(weight.rows(done, to), difference.rows(done, to));
        backend.linalg().axpy(-1, values, difference.rows(done, to));
      }
      for (int p = done; p < to; p++) {
        places[first + rows.order().get(p)] = at + p - done;
      }
      done = to;
    }
  }
}
