package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.RowPieces;

/**
 * {@code tr(A·H·Aᵀ)} with a symmetric H, by products of A with blocks of columns of H, of which
 * only what is on and below the diagonal blocks is read, what is below them twice: many blocks are
 * half the multiplications.
 */
final class QuadraticTraces {
  private static final String OPERATION = "addTraceQuadratic";

  /**
   * Multiplications of a block. Each is twenty calls of the driver, on which small matrices spend
   * more time than on what they spare.
   */
  static final long WORK = 1L << 32;

  private static final int MOST_BLOCKS = 8;
  private static final int LEAST_COLUMNS = 64;

  /** Bytes of A·H that are held at once. */
  private static final long PRODUCT_BYTES = 256L << 20;

  private final CudaContext context;
  private final Sums sums;
  private final MatrixProducts products;
  private final SplitProducts split;
  private final long work;

  /** With blocks of about so many multiplications. */
  QuadraticTraces(CudaContext context, Sums sums, long work) {
    this.context = context;
    this.sums = sums;
    this.products = new MatrixProducts(context);
    this.split = new SplitProducts(context);
    this.work = work;
  }

  /** Columns of a block of H, for an A of that shape. */
  int width(int rows, int columns) {
    int blocks = Math.clamp((long) rows * columns * columns / work, 1, MOST_BLOCKS);
    return Math.min(columns, Math.max(LEAST_COLUMNS, Math.ceilDiv(columns, blocks)));
  }

  /** Rows for which A·H and the halves of A have room. */
  private static int rowsAtOnce(int rows, int columns, int width) {
    long most =
        Math.min(
            PRODUCT_BYTES / ((long) Float.BYTES * width),
            SplitProducts.MOST_BYTES / (2L * DType.F16.bytes() * columns));
    return RowPieces.of(most, rows);
  }

  /** Adds the trace to total, 1 × 1 of F64. */
  void add(CudaTensor a, CudaTensor h, CudaTensor total) {
    if (a.isEmpty()) {
      return;
    }
    int n = a.columns();
    int width = width(a.rows(), n);
    int rowsAtOnce = rowsAtOnce(a.rows(), n, width);
    try (CudaScope local = new CudaScope(context)) {
      CudaTensor buffer = (CudaTensor) local.allocate(DType.F32, rowsAtOnce, width, a.layout());
      for (int first = 0; first < a.rows(); first += rowsAtOnce) {
        CudaTensor rows = a.rows(first, Math.min(a.rows(), first + rowsAtOnce));
        CudaTensor product = buffer.rows(0, rows.rows());
        if (!a.isRowMajor() && h.isRowMajor() && split.serves(rows, h.columns(0, width), product)) {
          addInHalves(rows, h, product, total);
        } else {
          for (int from = 0; from < n; from += width) {
            add(rows, h, from, Math.min(n, from + width), product, total);
          }
        }
      }
    }
  }

  /** The part of H's columns {@code from} to {@code to}. */
  private void add(
      CudaTensor a, CudaTensor h, int from, int to, CudaTensor buffer, CudaTensor total) {
    int n = h.rows();
    CudaTensor part = a.columns(from, to);
    CudaTensor product = buffer.columns(0, to - from);
    products.gemm(1, part, h.rows(from, to).columns(from, to), 0, product, OPERATION);
    if (to < n) {
      products.gemm(2, a.columns(to, n), h.rows(to, n).columns(from, to), 1, product, OPERATION);
    }
    sums.add("sumOfProducts", part, product, total, OPERATION);
  }

  /**
   * All parts, for which A is split once: the products with each block of columns, of which the one
   * on the diagonal is halved, are doubled.
   */
  void addInHalves(CudaTensor a, CudaTensor h, CudaTensor buffer, CudaTensor total) {
    int n = h.rows();
    int width = buffer.columns();
    try (HalvesScales scales = HalvesScales.ofProduct(context, 2, a, h, 0, OPERATION);
        Scratch left = split.scratch(a, true);
        Scratch right = split.scratch(h.columns(0, width), false)) {
      Halves halvesA = Halves.at(left.address(), a, true);
      split.split(a, halvesA, scales.ofA(), OPERATION);
      for (int from = 0; from < n; from += width) {
        int to = Math.min(n, from + width);
        CudaTensor columns = h.columns(from, to);
        Halves halvesH = Halves.at(right.address(), columns.rows(from, n), false);
        split.split(columns.rows(from, to), halvesH, scales.ofB().times(-1), OPERATION);
        if (to < n) {
          split.split(columns.rows(to, n), halvesH.from(to - from), scales.ofB(), OPERATION);
        }
        CudaTensor product = buffer.columns(0, to - from);
        split.multiplyFirst(halvesA.from(from), halvesH, product, n - from, scales);
        sums.add("sumOfProducts", a.columns(from, to), product, total, OPERATION);
      }
    }
  }
}
