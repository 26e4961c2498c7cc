package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/**
 * The grids of a matrix while it is quantized: which group each column belongs to, and when each
 * group's grid is fitted. Dynamic groups are runs of columns in the order of quantization, fitted
 * when the first of them is reached; static groups are runs in the stored order, fitted beforehand.
 */
final class GridPlan {
  private final Backend backend;
  private final GptqOptions options;
  private final int columns;
  private final int groupColumns;
  private final Tensor scale;
  private final Tensor zero;
  private boolean fitted;

  GridPlan(Backend backend, GptqOptions options, int rows, int columns, TensorScope scope) {
    this.backend = backend;
    this.options = options;
    this.columns = columns;
    this.groupColumns = options.groupColumns(columns);
    this.scale = scope.columnMajor(DType.F32, rows, columns / groupColumns);
    this.zero = scope.columnMajor(DType.F32, rows, columns / groupColumns);
  }

  /** Columns whose grids are fitted at the same moment. */
  int segment() {
    if (fitted) {
      return columns;
    }
    return options.statistics() == GroupStatistics.REFERENCE
        ? Math.max(groupColumns, Math.min(options.blockSize(), columns))
        : groupColumns;
  }

  /** If groups are whole rows, fits their grids now. */
  void fitWholeRows(Tensor w) {
    if (groupColumns == columns) {
      fitAll(w);
    }
  }

  /** Fits all grids to w, its columns in the stored order. */
  void fitAll(Tensor w) {
    if (!fitted) {
      for (int from = 0; from < columns; from += groupColumns) {
        fitGroup(w, from);
      }
      fitted = true;
    }
  }

  /** Fits the grids of the segment that begins at column {@code from}, unless done beforehand. */
  void fit(Tensor w, int from) {
    if (!fitted) {
      for (int c = from; c < Math.min(from + segment(), columns); c += groupColumns) {
        fitGroup(w, c);
      }
    }
  }

  private void fitGroup(Tensor w, int from) {
    int g = from / groupColumns;
    backend
        .quantization()
        .fitGrid(
            w.columns(from, from + groupColumns),
            options.grid(),
            scale.columns(g, g + 1),
            zero.columns(g, g + 1));
  }

  /** The grids with columns in the order of quantization. */
  Grid inOrder(List<Integer> order, TensorScope scope) {
    int[] groupOf = new int[columns];
    for (int p = 0; p < columns; p++) {
      groupOf[p] = (options.staticGroups() ? order.get(p) : p) / groupColumns;
    }
    return new Grid(options.grid(), scale, zero, scope.upload(groupOf));
  }

  /**
   * The grids with columns in the stored order. After group-aware order each group gets the index
   * of its place in the stored matrix, so that groups are runs of columns again.
   */
  Grid stored(HessianFactor factor, TensorScope scope) {
    int groups = columns / groupColumns;
    int[] source = new int[groups];
    int[] groupOf = new int[columns];
    int[] positions = factor.positions();
    boolean regular = options.staticGroups() || options.order() != ColumnOrder.ACTIVATION;
    for (int c = 0; c < columns; c++) {
      groupOf[c] = (regular ? c : positions[c]) / groupColumns;
      source[groupOf[c]] = options.staticGroups() ? groupOf[c] : positions[c] / groupColumns;
    }
    Tensor index = scope.upload(source);
    Tensor storedScale = scope.columnMajor(DType.F32, scale.rows(), groups);
    Tensor storedZero = scope.columnMajor(DType.F32, scale.rows(), groups);
    backend.linalg().gatherColumns(scale, index, storedScale);
    backend.linalg().gatherColumns(zero, index, storedZero);
    return new Grid(options.grid(), storedScale, storedZero, scope.upload(groupOf));
  }
}
