package dev.gptq.quantize;

import com.google.common.primitives.Ints;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Collection;
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
  /** Weights that are held at a time: 1 GiB, several times. */
  public static final long ELEMENTS = 1L << 28;

  /** Weights of all paths of a beam that are held at a time. */
  public static final long PATHS_ELEMENTS = 1L << 27;

  /** Weights of coupled rows that are held at a time: half a GiB, twice. */
  private static final long COUPLED_ELEMENTS = 1L << 27;

  /** Rows that are held at a time come in multiples of this, as far as there are so many. */
  private static final int ROWS = 256;

  private final Backend backend;
  private final GptqOptions options;

  /** With the options for all matrices to come. */
  public Gptq(Backend backend, GptqOptions options) {
    this.backend = backend;
    this.options = options;
  }

  /**
   * The result, and what it costs row by row, with {@code d} a row of {@code D = W − Q}, dead
   * columns of W counted as zero.
   *
   * @param damped {@code d(H + λI)dᵀ}, rows × 1: what was minimised
   * @param errors {@code d·H·dᵀ}, rows × 1: what is left when the damping's part is taken away,
   *     which is accurate to float32 of {@code damped}
   */
  public record Result(QuantizedMatrix matrix, Tensor damped, Tensor errors) {
    /** The loss {@code ½·tr(D(H + λI)Dᵀ)}. */
    public double loss() {
      return sum(damped) / 2;
    }

    /**
     * {@code tr(D·H·Dᵀ)} of runs of rows, one behind the other.
     *
     * @param rows of each
     */
    public double[] errors(List<Integer> rows) {
      float[] all = HostCopies.floats(errors);
      double[] sums = new double[rows.size()];
      int next = 0;
      for (int i = 0; i < sums.length; i++) {
        for (int end = next + rows.get(i); next < end; next++) {
          sums[i] += all[next];
        }
        sums[i] = Math.max(0, sums[i]);
      }
      return sums;
    }
  }

  /**
   * Quantizes one matrix, whose rows know nothing of each other.
   *
   * @param weight rows × columns of a real type; left as it is
   * @param factor the factor of this layer's Hessian
   * @param scope owns the result
   * @return codes and grids in the stored order of columns
   */
  public Result quantize(Tensor weight, HessianFactor factor, TensorScope scope) {
    Solution solution = new Solution(weight.rows(), weight.columns(), scope);
    solution.solve(weight, factor, 0);
    return solution.result();
  }

  /**
   * Quantizes one matrix, whose rows are coupled; see {@link CoupledRows}.
   *
   * @param coupled factors of the curvature of the output side, each of the next rows; none if rows
   *     know nothing of each other
   * @return as above; losses are those of each row beside what it had to make up for
   */
  public Result quantize(
      Tensor weight, HessianFactor factor, List<HessianFactor> coupled, TensorScope scope) {
    if (coupled.isEmpty()) {
      return quantize(weight, factor, scope);
    }
    Solution solution = new Solution(weight.rows(), weight.columns(), scope);
    int from = 0;
    for (List<HessianFactor> some : sideBySide(coupled, weight.columns())) {
      int to = from + rows(some);
      solution.solve(weight.rows(from, to), factor, some, from);
      from = to;
    }
    return solution.result();
  }

  /** Factors in lists of as many as are held at a time. */
  private static List<List<HessianFactor>> sideBySide(List<HessianFactor> coupled, int columns) {
    List<List<HessianFactor>> lists = new ArrayList<>();
    for (HessianFactor factor : coupled) {
      long rows = factor.order().size();
      if (lists.isEmpty() || (rows(lists.getLast()) + rows) * columns > COUPLED_ELEMENTS) {
        lists.add(new ArrayList<>());
      }
      lists.getLast().add(factor);
    }
    return lists;
  }

  private static int rows(List<HessianFactor> factors) {
    return factors.stream().mapToInt(factor -> factor.order().size()).sum();
  }

  /** Codes and grids of a matrix as they are found, rows after rows. */
  private final class Solution {
    private final Tensor codes;
    private final Tensor scale;
    private final Tensor zero;
    private final TensorScope scope;
    private final Tensor damped;
    private final Tensor errors;
    private int[] groupOf = {};

    Solution(int rows, int columns, TensorScope scope) {
      int groups = columns / options.groupColumns(columns);
      this.codes = scope.columnMajor(DType.U8, rows, columns);
      this.scale = scope.columnMajor(DType.F32, rows, groups);
      this.zero = scope.columnMajor(DType.F32, rows, groups);
      this.damped = scope.columnMajor(DType.F32, rows, 1);
      this.errors = scope.columnMajor(DType.F32, rows, 1);
      this.scope = scope;
    }

    /** Finds those of rows that know nothing of each other, in turns. */
    void solve(Tensor weight, HessianFactor factor, int first) {
      int step = rowsAtOnce(weight.rows(), weight.columns());
      for (int from = 0; from < weight.rows(); from += step) {
        int to = Math.min(from + step, weight.rows());
        solve(weight.rows(from, to), factor, first + from, first + to);
      }
    }

    private void solve(Tensor weight, HessianFactor factor, int from, int to) {
      try (TensorScope local = backend.newScope()) {
        int columns = codes.columns();
        Tensor ordered = local.columnMajor(DType.U8, to - from, columns);
        Tensor ofRows = damped.rows(from, to);
        Tensor difference;
        if (options.blocks().isPresent()) {
          difference =
              quantizeBlocks(
                  weight,
                  factor,
                  ordered,
                  scale.rows(from, to),
                  zero.rows(from, to),
                  ofRows,
                  local);
          groupOf = IntStream.range(0, columns).map(c -> c / options.groupSize()).toArray();
        } else {
          GridPlan grids = new GridPlan(backend, options, to - from, factor, local);
          difference = quantize(weight, factor, grids, ordered, ofRows, local);
          grids.store(scale.rows(from, to), zero.rows(from, to));
          groupOf = grids.storedGroups();
        }
        undamp(difference, factor, ofRows, errors.rows(from, to));
        backend
            .linalg()
            .gatherColumns(ordered, local.upload(factor.positions()), codes.rows(from, to));
      }
    }

    /** Finds those of coupled rows, of which the first is {@code first}. */
    void solve(Tensor weight, HessianFactor factor, List<HessianFactor> rows, int first) {
      int m = weight.rows();
      try (TensorScope local = backend.newScope()) {
        CoupledRows coupled = new CoupledRows(backend, weight, rows, local);
        Solution ordered = new Solution(m, weight.columns(), local);
        for (int from = 0; from < m; ) {
          try (TensorScope block = backend.newScope()) {
            Tensor target = coupled.target(block);
            ordered.solve(target, factor, from);
            int to = from + target.rows();
            coupled.decide(ordered.matrix().rows(from, to));
            from = to;
          }
        }
        coupled.toStoredOrder(ordered.codes, codes.rows(first, first + m));
        coupled.toStoredOrder(ordered.scale, scale.rows(first, first + m));
        coupled.toStoredOrder(ordered.zero, zero.rows(first, first + m));
        coupled.toStoredOrder(ordered.damped, damped.rows(first, first + m));
        coupled.toStoredOrder(ordered.errors, errors.rows(first, first + m));
        groupOf = ordered.groupOf;
      }
    }

    QuantizedMatrix matrix() {
      return new QuantizedMatrix(
          codes, new Grid(options.grid(), scale, zero, scope.upload(groupOf)));
    }

    Result result() {
      return new Result(matrix(), damped, errors);
    }
  }

  /** Where rows would need much memory they go in turns, of about equal length. */
  private int rowsAtOnce(int rows, int columns) {
    int paths = options.refinement().beam();
    long most = paths == 1 ? ELEMENTS : PATHS_ELEMENTS;
    int turns = Math.clamp(Math.ceilDiv((long) paths * rows * columns, most), 1, rows);
    int step = Math.ceilDiv(rows, turns);
    return turns == 1 || step < ROWS ? step : Math.ceilDiv(step, ROWS) * ROWS;
  }

  /** Quantizes rows on super-blocks; otherwise as {@link #quantize}. */
  private Tensor quantizeBlocks(
      Tensor weight,
      HessianFactor factor,
      Tensor codes,
      Tensor scale,
      Tensor zero,
      Tensor damped,
      TensorScope scope) {
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      la.convert(weight, w);
      if (!factor.dead().isEmpty()) {
        la.zeroColumns(local.upload(ints(factor.dead())), w);
      }
      Tensor ordered = local.columnMajor(DType.F32, w.rows(), w.columns());
      la.gatherColumns(w, local.upload(ints(factor.order())), ordered);
      BlockGptq solve = new BlockGptq(backend, options, factor, ordered, codes, damped);
      solve.run((weights, grid, result, losses) ->
          loop(weights, factor, ColumnLoop.Fits.NONE, options.blockSize(), grid, result, losses));
      solve.scales().store(scale, zero, local, la::convert);
      return solve.difference(scope);
    }
  }

  /**
   * Quantizes rows into codes in the order of quantization.
   *
   * @param damped out, {@code d(H + λI)dᵀ} of each row
   * @return D in that order, in {@code local}
   */
  private Tensor quantize(
      Tensor weight,
      HessianFactor factor,
      GridPlan grids,
      Tensor codes,
      Tensor damped,
      TensorScope local) {
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
    if (options.refinement().equals(Refinement.NONE)) {
      loop(w, factor, grids::fit, grids.segment(), grids.grid(), codes, damped);
      return w;
    }
    try (TensorScope first = backend.newScope()) {
      Tensor copy = first.columnMajor(DType.F32, w.rows(), w.columns());
      la.convert(w, copy);
      loop(copy, factor, grids::fit, grids.segment(), grids.grid(), codes, damped);
    }
    if (options.refinement().needsHessian()) {
      refine(w, factor, grids.grid(), codes, damped);
    }
    return difference(backend, w, grids.grid(), codes, local);
  }

  /** {@code W − Q}. */
  static Tensor difference(Backend backend, Tensor w, Grid grid, Tensor codes, TensorScope scope) {
    Tensor difference = scope.columnMajor(DType.F32, w.rows(), w.columns());
    backend.quantization().subtract(w, codes, grid, difference);
    return difference;
  }

  /** {@code d·H·dᵀ = d(H + λI)dᵀ − λ·d·dᵀ}, less what dead columns were given. */
  private void undamp(Tensor difference, HessianFactor factor, Tensor damped, Tensor errors) {
    LinearAlgebra la = backend.linalg();
    try (TensorScope local = backend.newScope()) {
      Tensor squares = local.columnMajor(DType.F32, difference.rows(), 1);
      la.convert(damped, errors);
      la.rowDots(difference, difference, squares);
      la.axpy((float) -factor.lambda(), squares, errors);
      if (!factor.dead().isEmpty()) {
        int[] positions = factor.positions();
        int[] dead = factor.dead().stream().mapToInt(c -> positions[c]).toArray();
        Tensor repaired = local.columnMajor(DType.F32, difference.rows(), dead.length);
        la.gatherColumns(difference, local.upload(dead), repaired);
        la.rowDots(repaired, repaired, squares);
        la.axpy(-1, squares, errors);
      }
    }
  }

  /**
   * Quantizes the columns of w, which it may overwrite; D takes their place if there is no beam.
   */
  private void loop(
      Tensor w,
      HessianFactor factor,
      ColumnLoop.Fits fits,
      int segment,
      Grid grid,
      Tensor codes,
      Tensor damped) {
    int block = options.blockSize();
    try (TensorScope local = backend.newScope()) {
      if (options.refinement().beam() > 1) {
        BeamLoop beam =
            new BeamLoop(
                backend, factor.v(), fits, grid, segment, block, options.refinement().beam());
        Tensor halves = beam.run(w, codes, local);
        backend.linalg().convert(halves, damped);
        backend.linalg().axpy(1, halves, damped);
        return;
      }
      new PanelLoop(backend, w, factor.v(), fits, grid, codes, segment, block).run(damped);
    }
  }

  private void refine(Tensor w, HessianFactor factor, Grid grid, Tensor codes, Tensor damped) {
    boolean scattered = options.staticGroups() && options.order() != ColumnOrder.NATURAL;
    Refiner refiner =
        new Refiner(
            backend,
            w,
            factor.damped(),
            grid,
            codes,
            damped,
            scattered ? Optional.of(factor.positions()) : Optional.empty());
    refiner.refine(
        options.refinement(),
        (copy, others, losses) ->
            loop(copy, factor, ColumnLoop.Fits.NONE, options.blockSize(), grid, others, losses));
  }

  /** The sum over the rows, added in float64. */
  static double sum(Tensor losses) {
    double sum = 0;
    for (float loss : HostCopies.floats(losses)) {
      sum += loss;
    }
    return sum;
  }

  private static int[] ints(Collection<Integer> values) {
    return Ints.toArray(values);
  }
}
