package dev.gptq.quantize;

import com.google.common.collect.Streams;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * GPTQ (Frantar et al., ICLR 2023, algorithm 1): quantizes the columns of W one after the other and
 * lets the columns to come make up for each one's error.
 *
 * <p>With {@code UᵀU = (H + λI)⁻¹}, the step for column j is
 *
 * <pre>
 *   q = quant(W[:, j])
 *   e = (W[:, j] − q) / U[j][j]
 *   W[:, k] −= e·U[j][k]            for all k &gt; j
 * </pre>
 *
 * <p>Updates are lazy, as in section 3.3 of the paper, but by halves instead of by blocks: to
 * quantize a range of columns, quantize its left half, apply all its errors to the right half in
 * one matrix product, and quantize that. The products are as large as can be, and errors need no
 * room of their own: each replaces the weight it came from. Every group begins a half, so that its
 * grid is fitted to weights that have all earlier errors in them.
 */
public final class Gptq {
  private final Backend backend;
  private final GptqOptions options;

  /** With the options for all matrices to come. */
  public Gptq(Backend backend, GptqOptions options) {
    this.backend = backend;
    this.options = options;
  }

  /** The result and its loss. */
  public record Result(QuantizedMatrix matrix, double loss) {}

  /**
   * Quantizes one matrix.
   *
   * @param weight rows × columns of a real type; left as it is
   * @param factor the factor of this layer's Hessian
   * @param scope owns the result
   * @return codes and grids in the stored order of columns, and the loss {@code ½·tr(D(H + λI)Dᵀ)}
   *     with {@code D = W − Q}, dead columns of W counted as zero
   */
  public Result quantize(Tensor weight, HessianFactor factor, TensorScope scope) {
    int columns = weight.columns();
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.columnMajor(DType.F32, weight.rows(), columns);
      backend.linalg().convert(weight, w);
      GridPlan grids = new GridPlan(backend, options, weight.rows(), columns, local);
      if (options.statistics() == GroupStatistics.REFERENCE) {
        grids.fitWholeRows(w);
      }
      if (!factor.dead().isEmpty()) {
        backend.linalg().zeroColumns(local.upload(ints(factor.dead())), w);
      }
      if (options.staticGroups()) {
        grids.fitAll(w);
      }
      if (options.order() != ColumnOrder.NATURAL) {
        Tensor ordered = local.columnMajor(DType.F32, weight.rows(), columns);
        backend.linalg().gatherColumns(w, local.upload(ints(factor.order())), ordered);
        w = ordered;
      }
      Tensor codes = local.columnMajor(DType.U8, weight.rows(), columns);
      new Columns(w, factor.upper(), grids, grids.inOrder(factor.order(), local), codes)
          .quantize(0, columns);

      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      backend.linalg().addSumOfSquares(w, total);
      Tensor stored = scope.columnMajor(DType.U8, weight.rows(), columns);
      backend.linalg().gatherColumns(codes, local.upload(factor.positions()), stored);
      return new Result(
          new QuantizedMatrix(stored, grids.stored(factor, scope)), 0.5 * HostCopies.scalar(total));
    }
  }

  /** The recursion over ranges of columns, which are in the order of quantization. */
  private final class Columns {
    private final Tensor w;
    private final Tensor u;
    private final GridPlan grids;
    private final Grid grid;
    private final Tensor codes;

    /** Columns whose grids are fitted together, when the first of them is reached. */
    private final int segment;

    Columns(Tensor w, Tensor u, GridPlan grids, Grid grid, Tensor codes) {
      this.w = w;
      this.u = u;
      this.grids = grids;
      this.grid = grid;
      this.codes = codes;
      this.segment = grids.segment();
    }

    /** Quantizes columns from … to−1; afterwards W holds their scaled errors. */
    void quantize(int from, int to) {
      int block = Math.min(options.blockSize(), segment);
      if (to - from <= block) {
        if (from % segment == 0) {
          grids.fit(w, from);
        }
        backend
            .quantization()
            .quantizeBlock(
                w.columns(from, to),
                u.rows(from, to).columns(from, to),
                grid.columns(from, to),
                codes.columns(from, to));
        return;
      }
      int unit = to - from > segment ? segment : block;
      int middle = from + (Math.ceilDiv(to - from, unit) + 1) / 2 * unit;
      quantize(from, middle);
      LinearAlgebra la = backend.linalg();
      Tensor errors = w.columns(from, middle);
      la.gemm(-1, errors, u.rows(from, middle).columns(middle, to), 1, w.columns(middle, to));
      quantize(middle, to);
    }
  }

  private static int[] ints(Iterable<Integer> values) {
    return Streams.stream(values).mapToInt(Integer::intValue).toArray();
  }
}
