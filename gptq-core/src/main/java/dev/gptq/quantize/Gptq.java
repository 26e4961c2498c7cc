package dev.gptq.quantize;

import com.google.common.collect.Streams;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

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
 * <p>{@link PaperGptq} is just that. Here neither H⁻¹ nor U is computed, but {@code V = U⁻¹}: upper
 * triangular, {@code V·Vᵀ = H + λI}, one Cholesky factor of H itself. Let D = W − Q with W the
 * weights as given. The recursion says {@code e·U = D}, hence
 *
 * <pre>
 *   e = D·V                          the loss of a row is ½·|D·V|²
 *   ŵ_J = w_J + D_{&lt;J}·V_{&lt;J,J}·U_JJ    with U_JJ = V_JJ⁻¹
 * </pre>
 *
 * are the weights that the step sees before the first column of a block J is chosen. {@link
 * PanelLoop} is that loop; inside a block {@link ColumnLoop} goes on as the paper does.
 *
 * <p>Around it, all optional and free to combine: an order of the columns ({@link ColumnOrder}), a
 * search for the grids ({@link dev.gptq.grid.GridSearch}), several partial solutions in place of
 * one ({@link BeamLoop}), and work on the result ({@link Refiner}).
 */
public final class Gptq {
  /** Weights of all paths of a beam that are held at a time: 512 MiB, twice. */
  public static final long BEAM_ELEMENTS = 1L << 27;

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
   * Quantizes one matrix, whose rows know nothing of each other.
   *
   * @param weight rows × columns of a real type; left as it is
   * @param factor the factor of this layer's Hessian
   * @param scope owns the result
   * @return codes and grids in the stored order of columns, and the loss {@code ½·tr(D(H + λI)Dᵀ)}
   *     with {@code D = W − Q}, dead columns of W counted as zero
   */
  public Result quantize(Tensor weight, HessianFactor factor, TensorScope scope) {
    Solution solution = new Solution(weight.rows(), weight.columns(), scope);
    int step = rowsAtOnce(weight.rows(), weight.columns());
    for (int from = 0; from < weight.rows(); from += step) {
      int to = Math.min(from + step, weight.rows());
      solution.solve(weight.rows(from, to), factor, from, to);
    }
    return solution.result();
  }

  /**
   * Quantizes one matrix, whose rows are coupled; see {@link CoupledRows}.
   *
   * @param coupled factors of the curvature of the output side, each of the next rows; none if rows
   *     know nothing of each other
   * @return as above; the loss is that of each row beside what it had to make up for
   */
  public Result quantize(
      Tensor weight, HessianFactor factor, List<HessianFactor> coupled, TensorScope scope) {
    if (coupled.isEmpty()) {
      return quantize(weight, factor, scope);
    }
    Solution solution = new Solution(weight.rows(), weight.columns(), scope);
    int from = 0;
    for (HessianFactor rows : coupled) {
      int to = from + rows.order().size();
      solution.solve(weight.rows(from, to), factor, rows, from);
      from = to;
    }
    return solution.result();
  }

  /** Codes and grids of a matrix as they are found, rows after rows. */
  private final class Solution {
    private final Tensor codes;
    private final Tensor scale;
    private final Tensor zero;
    private final TensorScope scope;
    private int[] groupOf = {};
    private double loss;

    Solution(int rows, int columns, TensorScope scope) {
      int groups = columns / options.groupColumns(columns);
      this.codes = scope.columnMajor(DType.U8, rows, columns);
      this.scale = scope.columnMajor(DType.F32, rows, groups);
      this.zero = scope.columnMajor(DType.F32, rows, groups);
      this.scope = scope;
    }

    /** Finds those of some rows. */
    void solve(Tensor weight, HessianFactor factor, int from, int to) {
      try (TensorScope local = backend.newScope()) {
        int columns = codes.columns();
        Tensor ordered = local.columnMajor(DType.U8, to - from, columns);
        if (options.blocks().isPresent()) {
          loss +=
              quantizeBlocks(weight, factor, ordered, scale.rows(from, to), zero.rows(from, to));
          groupOf = IntStream.range(0, columns).map(c -> c / options.groupSize()).toArray();
        } else {
          GridPlan grids = new GridPlan(backend, options, to - from, factor, local);
          loss += quantize(weight, factor, grids, ordered, local);
          grids.store(scale.rows(from, to), zero.rows(from, to));
          groupOf = grids.storedGroups();
        }
        backend
            .linalg()
            .gatherColumns(ordered, local.upload(factor.positions()), codes.rows(from, to));
      }
    }

    /** Finds those of coupled rows, of which the first is {@code first}. */
    void solve(Tensor weight, HessianFactor factor, HessianFactor rows, int first) {
      int m = weight.rows();
      int n = weight.columns();
      int step = Math.min(CoupledRows.together(m), rowsAtOnce(m, n));
      try (TensorScope local = backend.newScope()) {
        CoupledRows coupled = new CoupledRows(backend, weight, rows, local);
        Solution ordered = new Solution(m, n, local);
        for (int from = 0; from < m; from += step) {
          int to = Math.min(from + step, m);
          try (TensorScope block = backend.newScope()) {
            ordered.solve(coupled.target(from, to, block), factor, from, to);
          }
          coupled.decide(from, to, ordered.matrix().rows(from, to));
        }
        coupled.toStoredOrder(ordered.codes, codes.rows(first, first + m));
        coupled.toStoredOrder(ordered.scale, scale.rows(first, first + m));
        coupled.toStoredOrder(ordered.zero, zero.rows(first, first + m));
        groupOf = ordered.groupOf;
        loss += ordered.loss;
      }
    }

    QuantizedMatrix matrix() {
      return new QuantizedMatrix(
          codes, new Grid(options.grid(), scale, zero, scope.upload(groupOf)));
    }

    Result result() {
      return new Result(matrix(), loss);
    }
  }

  /** Where a beam would need much memory rows go in turns. */
  private int rowsAtOnce(int rows, int columns) {
    int beam = options.refinement().beam();
    return beam == 1 ? rows : Math.clamp(BEAM_ELEMENTS / ((long) beam * columns), 1, rows);
  }

  /** Quantizes rows on super-blocks, codes in the order of quantization; returns the loss. */
  private double quantizeBlocks(
      Tensor weight, HessianFactor factor, Tensor codes, Tensor scale, Tensor zero) {
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      la.convert(weight, w);
      if (!factor.dead().isEmpty()) {
        la.zeroColumns(local.upload(ints(factor.dead())), w);
      }
      Tensor ordered = local.columnMajor(DType.F32, w.rows(), w.columns());
      la.gatherColumns(w, local.upload(ints(factor.order())), ordered);
      BlockGptq solve = new BlockGptq(backend, options, factor, ordered, codes);
      double loss =
          solve.run((weights, grid, result) ->
              loop(weights, factor, ColumnLoop.Fits.NONE, options.blockSize(), grid, result));
      solve.scales().store(scale, zero, local, la::convert);
      return loss;
    }
  }

  /** Quantizes rows into codes in the order of quantization and returns the loss. */
  private double quantize(
      Tensor weight, HessianFactor factor, GridPlan grids, Tensor codes, TensorScope local) {
    LinearAlgebra la = backend.linalg();
    Tensor w = local.columnMajor(DType.F32, weight.rows(), weight.columns());
    la.convert(weight, w);
    if (options.statistics() == GroupStatistics.REFERENCE) {
      grids.fitWholeRows(w);
    }
    if (!factor.dead().isEmpty()) {
      la.zeroColumns(local.upload(ints(factor.dead())), w);
    }
    if (options.order() != ColumnOrder.NATURAL) {
      Tensor ordered = local.columnMajor(DType.F32, w.rows(), w.columns());
      la.gatherColumns(w, local.upload(ints(factor.order())), ordered);
      w = ordered;
    }
    grids.fitWholeRows(w);
    if (options.staticGroups()) {
      grids.fitStatic(w);
    }
    if (!options.refinement().needsHessian()) {
      return loop(w, factor, grids::fit, grids.segment(), grids.grid(), codes);
    }
    Tensor copy = local.columnMajor(DType.F32, w.rows(), w.columns());
    la.convert(w, copy);
    loop(copy, factor, grids::fit, grids.segment(), grids.grid(), codes);
    return refine(w, factor, grids.grid(), codes);
  }

  /** Quantizes the columns of w, which it may overwrite, and returns the loss. */
  private double loop(
      Tensor w, HessianFactor factor, ColumnLoop.Fits fits, int segment, Grid grid, Tensor codes) {
    int block = options.blockSize();
    try (TensorScope local = backend.newScope()) {
      if (options.refinement().beam() > 1) {
        BeamLoop beam =
            new BeamLoop(
                backend, factor.v(), fits, grid, segment, block, options.refinement().beam());
        return sum(beam.run(w, codes, local));
      }
      return new PanelLoop(backend, w, factor.v(), fits, grid, codes, segment, block).run();
    }
  }

  private double refine(Tensor w, HessianFactor factor, Grid grid, Tensor codes) {
    boolean scattered = options.staticGroups() && options.order() != ColumnOrder.NATURAL;
    Refiner refiner =
        new Refiner(
            backend,
            w,
            factor.damped(),
            grid,
            codes,
            scattered ? Optional.of(factor.positions()) : Optional.empty());
    return refiner.refine(
        options.refinement(),
        (copy, others) ->
            loop(copy, factor, ColumnLoop.Fits.NONE, options.blockSize(), grid, others));
  }

  /** The sum over the rows, added in float64. */
  static double sum(Tensor losses) {
    double sum = 0;
    for (float loss : HostCopies.floats(losses)) {
      sum += loss;
    }
    return sum;
  }

  private static int[] ints(Iterable<Integer> values) {
    return Streams.stream(values).mapToInt(Integer::intValue).toArray();
  }
}
