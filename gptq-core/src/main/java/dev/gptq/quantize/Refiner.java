package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.RowPieces;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * Lowers the loss {@code ½·tr(D(H + λI)Dᵀ)}, {@code D = W − Q}, of a quantized matrix without a
 * change of format: refits scales to codes, and codes to scales. No step raises the loss of any
 * row. Columns are in the order of quantization; codes and scales are worked on in place.
 */
final class Refiner {
  /** Columns of a block of coordinate descent. */
  private static final int BLOCK = 128;

  /** Columns whose changes go to the gradient of all others in one product. */
  private static final int SPAN = 4 * BLOCK;

  /** The normal equations of this many numbers are held at a time. */
  private static final long LARGEST_SYSTEM = 1L << 26;

  private final Backend backend;
  private final Tensor w;
  private final Tensor h;
  private final Grid grid;
  private final Tensor codes;
  private final Tensor losses;

  /** For static groups: places of the stored columns, in which order groups are runs. */
  private final Optional<int[]> positions;

  /** Losses are {@code d(H + λI)dᵀ} of each row, rows × 1, and are kept up to date. */
  Refiner(
      Backend backend,
      Tensor w,
      Tensor h,
      Grid grid,
      Tensor codes,
      Tensor losses,
      Optional<int[]> positions) {
    this.backend = backend;
    this.w = w;
    this.h = h;
    this.grid = grid;
    this.codes = codes;
    this.losses = losses;
    this.positions = positions;
  }

  /** Quantizes again with grids that stay. */
  @FunctionalInterface
  interface Loop {
    /** Quantizes w, which it may overwrite, into codes; losses are those of {@link Refiner}. */
    void run(Tensor w, Tensor codes, Tensor losses);
  }

  /** All that the options ask for. */
  void refine(Refinement options, Loop loop) {
    for (int i = 0; i < options.refits(); i++) {
      if (i > 0) {
        requantize(loop);
      }
      refit();
    }
    try (TensorScope local = backend.newScope()) {
      Tensor gradient =
          local.columnMajor(DType.F32, options.sweeps() > 0 ? w.rows() : 0, w.columns());
      boolean current = false;
      for (int i = 1; i <= options.sweeps(); i++) {
        if (!current) {
          differentiate(gradient);
        }
        sweep(gradient);
        current = options.refits() == 0 || (i % 2 != 0 && i != options.sweeps());
        if (!current) {
          refit();
        }
      }
    }
  }

  /** Quantizes again with the scales there are, and keeps the rows that are better for it. */
  private void requantize(Loop loop) {
    try (TensorScope local = backend.newScope()) {
      Tensor copy = local.columnMajor(DType.F32, w.rows(), w.columns());
      backend.linalg().convert(w, copy);
      Tensor others = local.columnMajor(DType.U8, w.rows(), w.columns());
      Tensor challengers = local.columnMajor(DType.F32, w.rows(), 1);
      loop.run(copy, others, challengers);
      backend.linalg().replaceRows(challengers, losses, others, codes);
      backend.linalg().replaceRows(challengers, losses, challengers, losses);
    }
  }

  /** {@code (W − Q)(H + λI)}. */
  private void differentiate(Tensor gradient) {
    try (TensorScope local = backend.newScope()) {
      backend.linalg().gemm(1, difference(local), h, 0, gradient);
    }
  }

  /** {@code d(H + λI)dᵀ} of each row of these codes, by a product, into losses, rows × 1. */
  void measure(Tensor ofCodes, Tensor ofRows) {
    try (TensorScope local = backend.newScope()) {
      Tensor difference = Gptq.difference(backend, w, grid, ofCodes, local);
      Tensor gradient = local.columnMajor(DType.F32, w.rows(), w.columns());
      backend.linalg().gemm(1, difference, h, 0, gradient);
      backend.linalg().rowDots(gradient, difference, ofRows);
    }
  }

  private Tensor difference(TensorScope scope) {
    return Gptq.difference(backend, w, grid, codes, scope);
  }

  /**
   * One sweep of coordinate descent over all columns, block by block. Inside a span of columns the
   * gradient of those to come follows each block's changes, that of all columns the span's: few
   * products as deep as a span in place of many as deep as a block.
   */
  private void sweep(Tensor gradient) {
    LinearAlgebra la = backend.linalg();
    int n = w.columns();
    for (int from = 0; from < n; from += SPAN) {
      int to = Math.min(from + SPAN, n);
      try (TensorScope span = backend.newScope()) {
        Tensor current = span.columnMajor(DType.F32, w.rows(), to - from);
        la.convert(gradient.columns(from, to), current);
        Tensor delta = span.columnMajor(DType.F32, w.rows(), to - from);
        descend(current, from, delta);
        la.gemm(-1, delta, h.rows(from, to), 1, gradient);
      }
    }
    try (TensorScope local = backend.newScope()) {
      la.rowDots(gradient, difference(local), losses);
    }
  }

  /**
   * Goes down the columns of a span.
   *
   * @param current their gradient; afterwards of no meaning
   * @param first the first of them
   * @param delta out: by how much Q changed
   */
  private void descend(Tensor current, int first, Tensor delta) {
    int columns = current.columns();
    for (int from = 0; from < columns; from += BLOCK) {
      int to = Math.min(from + BLOCK, columns);
      Tensor changes = delta.columns(from, to);
      Tensor rows = h.rows(first + from, first + to);
      backend
          .quantization()
          .descendBlock(
              current.columns(from, to),
              rows.columns(first + from, first + to),
              grid.columns(first + from, first + to),
              codes.columns(first + from, first + to),
              changes);
      if (to < columns) {
        Tensor right = rows.columns(first + to, first + columns);
        backend.linalg().gemm(-1, changes, right, 1, current.columns(to, columns));
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
    int rows = RowPieces.of(LARGEST_SYSTEM / entries, w.rows());
    try (TensorScope local = backend.newScope()) {
      Tensor hRuns = h;
      if (positions.isPresent()) {
        hRuns = local.rowMajor(DType.F32, n, n);
        backend.linalg().gatherSymmetric(h, local.upload(positions.get()), hRuns);
      }
      Tensor difference = inRuns(difference(local), local);
      Tensor steps = inRuns(steps(local), local);
      for (int from = 0; from < w.rows(); from += rows) {
        int to = Math.min(from + rows, w.rows());
        refit(
            difference.rows(from, to),
            steps.rows(from, to),
            hRuns,
            grid.scale().rows(from, to),
            losses.rows(from, to));
      }
    }
  }

  private void refit(Tensor difference, Tensor steps, Tensor hRuns, Tensor scale, Tensor ofRows) {
    int m = difference.rows();
    int groups = grid.groups();
    try (TensorScope local = backend.newScope()) {
      Tensor gradient = local.columnMajor(DType.F32, m, groups);
      Tensor normal = local.columnMajor(DType.F32, m, groups * (groups + 1) / 2);
      Tensor change = local.columnMajor(DType.F32, m, 1);
      backend.quantization().refitSystem(steps, difference, hRuns, normal, gradient);
      backend.quantization().refitScales(normal, gradient, grid.spec(), scale, change);
      backend.linalg().axpy(1, change, ofRows);
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
