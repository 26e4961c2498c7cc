package dev.gptq.quantize;

import com.google.common.base.Supplier;
import com.google.common.base.Suppliers;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.stream.IntStream;

/**
 * The grids of a matrix while it is quantized: which group each column belongs to, and when each
 * group's grid is fitted. Dynamic groups are runs of columns in the order of quantization, fitted
 * when the first of them is reached; static groups are runs in the stored order, fitted beforehand.
 */
final class GridPlan {
  private final Backend backend;
  private final GptqOptions options;
  private final HessianFactor factor;
  private final int columns;
  private final int groupColumns;
  private final Grid grid;
  private final GroupFit fit;

  /** For the searches that weigh columns: what their squared errors cost, 1 × columns. */
  private final Tensor cost;

  private boolean fitted;

  GridPlan(
      Backend backend, GptqOptions options, int rows, HessianFactor factor, TensorScope scope) {
    this.backend = backend;
    this.options = options;
    this.factor = factor;
    this.columns = factor.order().size();
    this.groupColumns = options.groupColumns(columns);
    this.fit = GroupFit.of(backend, options);
    this.cost = cost(scope);
    this.grid =
        new Grid(
            options.grid(),
            scope.columnMajor(DType.F32, rows, columns / groupColumns),
            scope.columnMajor(DType.F32, rows, columns / groupColumns),
            scope.upload(
                IntStream.range(0, columns)
                    .map(p -> (options.staticGroups() ? factor.order().get(p) : p) / groupColumns)
                    .toArray()));
  }

  private Tensor cost(TensorScope scope) {
    return switch (options.grid().search()) {
      case HESSIAN_DIAGONAL -> diagonal(factor.damped(), scope);
      case PIVOT -> {
        Tensor pivots = diagonal(factor.v(), scope);
        Tensor squares = scope.rowMajor(DType.F32, 1, columns);
        backend.linalg().rowDots(pivots.transposed(), pivots.transposed(), squares.transposed());
        yield squares;
      }
      default -> scope.zeros(DType.F32, 1, columns, Layout.ROW_MAJOR);
    };
  }

  private Tensor diagonal(Tensor square, TensorScope scope) {
    Tensor row = scope.rowMajor(DType.F32, 1, columns);
    backend.linalg().diagonal(square, row);
    return row;
  }

  /** The grids, with columns in the order of quantization. */
  Grid grid() {
    return grid;
  }

  /** Columns whose grids are fitted at the same moment; a block's if all are fitted already. */
  int segment() {
    if (fitted) {
      return options.blockSize();
    }
    return options.statistics() == GroupStatistics.REFERENCE
        ? Math.max(groupColumns, Math.min(options.blockSize(), columns))
        : groupColumns;
  }

  /** If groups are whole rows, fits their grids now, unless done before. */
  void fitWholeRows(Tensor w) {
    if (groupColumns == columns && !fitted) {
      fitRun(w, 0);
      fitted = true;
    }
  }

  /** Fits all static groups to w, its columns in the order of quantization. */
  void fitStatic(Tensor w) {
    if (fitted) {
      return;
    }
    LinearAlgebra la = backend.linalg();
    try (TensorScope whole = backend.newScope()) {
      Supplier<Tensor> u = Suppliers.memoize(() -> factor.inverse(0, columns, whole));
      for (int g = 0; g < grid.groups(); g++) {
        int group = g;
        int[] members =
            IntStream.range(0, columns)
                .filter(p -> factor.order().get(p) / groupColumns == group)
                .toArray();
        try (TensorScope local = backend.newScope()) {
          Tensor index = local.upload(members);
          Tensor weights = local.columnMajor(DType.F32, w.rows(), groupColumns);
          la.gatherColumns(w, index, weights);
          Tensor costs = local.rowMajor(DType.F32, 1, groupColumns);
          la.gatherColumns(cost, index, costs);
          fit(g, new GroupFit.Group(weights, scope -> block(u.get(), index, scope), costs));
        }
      }
    }
    fitted = true;
  }

  /** These rows and columns of U. */
  private Tensor block(Tensor u, Tensor index, TensorScope scope) {
    Tensor some = scope.rowMajor(DType.F32, columns, groupColumns);
    backend.linalg().gatherColumns(u, index, some);
    Tensor block = scope.rowMajor(DType.F32, groupColumns, groupColumns);
    backend.linalg().gatherColumns(some.transposed(), index, block.transposed());
    return block;
  }

  /** Fits the grids of the segment w that begins at column {@code from}, unless done beforehand. */
  void fit(Tensor w, int from) {
    if (!fitted) {
      for (int c = 0; c < w.columns(); c += groupColumns) {
        fitRun(w.columns(c, c + groupColumns), from + c);
      }
    }
  }

  private void fitRun(Tensor w, int from) {
    int to = from + groupColumns;
    fit(
        from / groupColumns,
        new GroupFit.Group(w, scope -> factor.inverse(from, to, scope), cost.columns(from, to)));
  }

  private void fit(int g, GroupFit.Group group) {
    fit.fit(group, grid.scale().columns(g, g + 1), grid.zero().columns(g, g + 1));
  }

  /**
   * Writes scales and zero points with columns in the stored order. After group-aware order each
   * group gets the index of its place in the stored matrix, so that groups are runs of columns
   * again.
   */
  void store(Tensor scale, Tensor zero) {
    int[] source = new int[grid.groups()];
    int[] positions = factor.positions();
    for (int c = 0; c < columns; c++) {
      source[storedGroup(c, positions)] =
          options.staticGroups() ? storedGroup(c, positions) : positions[c] / groupColumns;
    }
    try (TensorScope local = backend.newScope()) {
      Tensor index = local.upload(source);
      backend.linalg().gatherColumns(grid.scale(), index, scale);
      backend.linalg().gatherColumns(grid.zero(), index, zero);
    }
  }

  /** The group of each stored column. */
  int[] storedGroups() {
    int[] positions = factor.positions();
    return IntStream.range(0, columns).map(c -> storedGroup(c, positions)).toArray();
  }

  private int storedGroup(int column, int[] positions) {
    boolean regular = options.staticGroups() || options.order() != ColumnOrder.ACTIVATION;
    return (regular ? column : positions[column]) / groupColumns;
  }
}
