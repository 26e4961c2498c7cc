package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Lowers the loss {@code ½·tr(D(H + λI)Dᵀ)}, {@code D = W − Q}, of a quantized matrix without a
 * change of format: refits scales to codes, and codes to scales. No step raises the loss of any
 * row. Columns are in the order of quantization; codes and scales are worked on in place.
 */
final class Refiner {
  /** Columns of a block of coordinate descent. */
  private static final int BLOCK = 128;

  /** The normal equations of this many numbers are held at a time. */
  private static final long LARGEST_SYSTEM = 1L << 26;

  private final Backend backend;
  private final Tensor w;
  private final Tensor h;
  private final Grid grid;
  private final Tensor codes;

  /** For static groups: places of the stored columns, in which order groups are runs. */
  private final Optional<int[]> positions;

  Refiner(Backend backend, Tensor w, Tensor h, Grid grid, Tensor codes, Optional<int[]> positions) {
    this.backend = backend;
    this.w = w;
    this.h = h;
    this.grid = grid;
    this.codes = codes;
    this.positions = positions;
  }

  /**
   * All that the options ask for.
   *
   * @param quantize quantizes a copy of w with grids that stay, into the given codes
   * @return the loss
   */
  double refine(Refinement options, BiConsumer<Tensor, Tensor> quantize) {
    for (int i = 0; i < options.refits(); i++) {
      if (i > 0) {
        requantize(quantize);
      }
      refit();
    }
    for (int i = 1; i <= options.sweeps(); i++) {
      sweep();
      if (options.refits() > 0 && (i % 2 == 0 || i == options.sweeps())) {
        refit();
      }
    }
    try (TensorScope local = backend.newScope()) {
      return Gptq.sum(losses(codes, local)) / 2;
    }
  }

  /** Quantizes again with the scales there are, and keeps the rows that are better for it. */
  private void requantize(BiConsumer<Tensor, Tensor> quantize) {
    try (TensorScope local = backend.newScope()) {
      Tensor copy = local.columnMajor(DType.F32, w.rows(), w.columns());
      backend.linalg().convert(w, copy);
      Tensor others = local.columnMajor(DType.U8, w.rows(), w.columns());
      quantize.accept(copy, others);
      keepBetter(others);
    }
  }

  /** Takes those rows of other codes that lose less. */
  void keepBetter(Tensor others) {
    try (TensorScope local = backend.newScope()) {
      Tensor incumbent = losses(codes, local);
      backend.linalg().replaceRows(losses(others, local), incumbent, others, codes);
    }
  }

  /** {@code d(H + λI)dᵀ} of each row, rows × 1. */
  private Tensor losses(Tensor ofCodes, TensorScope scope) {
    Tensor losses = scope.columnMajor(DType.F32, w.rows(), 1);
    try (TensorScope local = backend.newScope()) {
      Tensor difference = difference(ofCodes, local);
      Tensor gradient = local.columnMajor(DType.F32, w.rows(), w.columns());
      backend.linalg().gemm(1, difference, h, 0, gradient);
      backend.linalg().rowDots(gradient, difference, losses);
    }
    return losses;
  }

  /** {@code W − Q} of these codes. */
  Tensor difference(Tensor ofCodes, TensorScope scope) {
    Tensor difference = scope.columnMajor(DType.F32, w.rows(), w.columns());
    try (TensorScope local = backend.newScope()) {
      Tensor q = local.columnMajor(DType.F32, w.rows(), w.columns());
      backend.quantization().dequantize(ofCodes, grid, q);
      backend.linalg().convert(w, difference);
      backend.linalg().axpy(-1, q, difference);
    }
    return difference;
  }

  /**
   * One sweep of coordinate descent over all columns, block by block: the gradient {@code (W − Q)(H
   * + λI)} follows each block's changes inside the block at once, elsewhere after it.
   */
  private void sweep() {
    LinearAlgebra la = backend.linalg();
    int n = w.columns();
    try (TensorScope local = backend.newScope()) {
      Tensor gradient = local.columnMajor(DType.F32, w.rows(), n);
      la.gemm(1, difference(codes, local), h, 0, gradient);
      for (int from = 0; from < n; from += BLOCK) {
        int to = Math.min(from + BLOCK, n);
        try (TensorScope block = backend.newScope()) {
          Tensor delta = block.columnMajor(DType.F32, w.rows(), to - from);
          backend
              .quantization()
              .descendBlock(
                  gradient.columns(from, to),
                  h.rows(from, to).columns(from, to),
                  grid.columns(from, to),
                  codes.columns(from, to),
                  delta);
          if (from > 0) {
            la.gemm(-1, delta, h.rows(from, to).columns(0, from), 1, gradient.columns(0, from));
          }
          if (to < n) {
            la.gemm(-1, delta, h.rows(from, to).columns(to, n), 1, gradient.columns(to, n));
          }
        }
      }
    }
  }

  /**
   * The scales of all groups of a row that together minimise its loss, given its codes; see {@link
   * dev.gptq.backend.QuantizationOps#refitScales}.
   */
  private void refit() {
    int n = w.columns();
    long entries = (long) grid.groups() * (grid.groups() + 1) / 2;
    int rows = Math.clamp(LARGEST_SYSTEM / entries, 1, w.rows());
    try (TensorScope local = backend.newScope()) {
      Tensor hRuns = h;
      if (positions.isPresent()) {
        hRuns = local.rowMajor(DType.F32, n, n);
        backend.linalg().gatherSymmetric(h, local.upload(positions.get()), hRuns);
      }
      Tensor difference = inRuns(difference(codes, local), local);
      Tensor steps = inRuns(steps(local), local);
      for (int from = 0; from < w.rows(); from += rows) {
        int to = Math.min(from + rows, w.rows());
        refit(difference.rows(from, to), steps.rows(from, to), hRuns, grid.scale().rows(from, to));
      }
    }
  }

  private void refit(Tensor difference, Tensor steps, Tensor hRuns, Tensor scale) {
    LinearAlgebra la = backend.linalg();
    int m = difference.rows();
    int n = difference.columns();
    int groups = grid.groups();
    int run = n / groups;
    try (TensorScope local = backend.newScope()) {
      Tensor product = local.columnMajor(DType.F32, m, n);
      Tensor gradient = local.columnMajor(DType.F32, m, groups);
      la.gemm(1, difference, hRuns, 0, product);
      la.rowDots(product, steps, gradient);
      Tensor normal = local.columnMajor(DType.F32, m, groups * (groups + 1) / 2);
      for (int g = 0; g < groups; g++) {
        int to = (g + 1) * run;
        Tensor part = product.columns(0, to);
        la.gemm(1, steps.columns(g * run, to), hRuns.rows(g * run, to).columns(0, to), 0, part);
        int first = g * (g + 1) / 2;
        la.rowDots(part, steps.columns(0, to), normal.columns(first, first + g + 1));
      }
      backend.quantization().refitScales(normal, gradient, grid.spec(), scale);
    }
  }

  /** {@code u − z}: the values in units of their scales. */
  private Tensor steps(TensorScope scope) {
    Tensor steps = scope.columnMajor(DType.F32, w.rows(), w.columns());
    try (TensorScope local = backend.newScope()) {
      Tensor ones = local.filled(1, w.rows(), grid.groups());
      Grid unit = new Grid(grid.spec(), ones, grid.zero(), grid.groupOf());
      backend.quantization().dequantize(codes, unit, steps);
    }
    return steps;
  }

  private Tensor inRuns(Tensor x, TensorScope scope) {
    if (positions.isEmpty()) {
      return x;
    }
    Tensor gathered = scope.columnMajor(DType.F32, x.rows(), x.columns());
    backend.linalg().gatherColumns(x, scope.upload(positions.get()), gathered);
    return gathered;
  }
}
