package dev.gptq.quantize;

import dev.gptq.backend.Backend;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.SuperBlock;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.stream.IntStream;

/** RTN, the baseline: every weight to its nearest code, without a look at the data. */
public final class RoundToNearest {
  private final Backend backend;
  private final GridSpec spec;
  private final int groupSize;

  /**
   * With a group size as in {@link GptqOptions}. Without data there is no Hessian: a grid search
   * that needs one becomes {@link GridSearch#MIN_MAX}.
   */
  public RoundToNearest(Backend backend, GridSpec spec, int groupSize) {
    this.backend = backend;
    this.spec = spec.search().needsHessian() ? spec.withSearch(GridSearch.MIN_MAX) : spec;
    this.groupSize = groupSize;
  }

  /** On super-blocks, whose scales are fitted as if all columns were alike. */
  public static QuantizedMatrix onBlocks(
      Backend backend, SuperBlock type, Tensor weight, TensorScope scope) {
    int rows = weight.rows();
    int columns = weight.columns();
    int[] groupOf = IntStream.range(0, columns).map(c -> c / type.groupSize()).toArray();
    GridSpec spec = type.grid(GridSearch.MIN_MAX);
    Tensor codes = scope.columnMajor(DType.U8, rows, columns);
    Tensor scale = scope.columnMajor(DType.F32, rows, columns / type.groupSize());
    Tensor zero = scope.columnMajor(DType.F32, rows, columns / type.groupSize());
    try (TensorScope local = backend.newScope()) {
      Tensor w = local.columnMajor(DType.F32, rows, columns);
      backend.linalg().convert(weight, w);
      float[] values = HostCopies.floats(w);
      float[] costs = new float[columns];
      Arrays.fill(costs, 1);
      BlockScales scales = BlockFit.of(type, values, rows, costs);
      Tensor shifted = scales.addOffsets(values, groupOf, local);
      backend.quantization().quantizeNearest(shifted, scales.shifted(spec, groupOf, local), codes);
      scales.store(scale, zero, local, backend.linalg()::convert);
    }
    return new QuantizedMatrix(codes, new Grid(spec, scale, zero, scope.upload(groupOf)));
  }

  /** Fits grids, rows × groups, to the groups of a matrix. */
  @FunctionalInterface
  private interface Fit {
    void fit(Tensor w, Tensor scale, Tensor zero);
  }

  /** Quantizes a matrix, rows × columns of a real type; the result lives in {@code scope}. */
  public QuantizedMatrix quantize(Tensor weight, TensorScope scope) {
    return quantize(
        weight, (w, scale, zero) -> backend.quantization().fitGroups(w, spec, scale, zero), scope);
  }

  /**
   * The same on those grids of a ladder on which rounding costs least.
   *
   * @param costs F32, 1 × columns, not negative: what a squared error of each column costs
   */
  public QuantizedMatrix quantize(
      Tensor weight, Tensor costs, GridLadder ladder, TensorScope scope) {
    return quantize(
        weight,
        (w, scale, zero) -> {
          int run = w.columns() / scale.columns();
          for (int g = 0; g < scale.columns(); g++) {
            backend
                .quantization()
                .fitGridWeighted(
                    w.columns(g * run, (g + 1) * run),
                    costs.columns(g * run, (g + 1) * run),
                    spec,
                    ladder,
                    scale.columns(g, g + 1),
                    zero.columns(g, g + 1));
          }
        },
        scope);
  }

  private QuantizedMatrix quantize(Tensor weight, Fit fit, TensorScope scope) {
    int rows = weight.rows();
    int columns = weight.columns();
    int group = GptqOptions.groupColumns(groupSize, columns);
    try (TensorScope local = backend.newScope()) {
      Tensor w = weight;
      if (weight.type() != DType.F32 || weight.layout() != Layout.COLUMN_MAJOR) {
        w = local.columnMajor(DType.F32, rows, columns);
        backend.linalg().convert(weight, w);
      }
      int[] groupOf = new int[columns];
      for (int c = 0; c < columns; c++) {
        groupOf[c] = c / group;
      }
      Grid grid =
          new Grid(
              spec,
              scope.columnMajor(DType.F32, rows, columns / group),
              scope.columnMajor(DType.F32, rows, columns / group),
              scope.upload(groupOf));
      fit.fit(w, grid.scale(), grid.zero());
      Tensor codes = scope.columnMajor(DType.U8, rows, columns);
      backend.quantization().quantizeNearest(w, grid, codes);
      return new QuantizedMatrix(codes, grid);
    }
  }
}
