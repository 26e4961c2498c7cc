package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.U8;
import static dev.gptq.tensor.Layout.COLUMN_MAJOR;
import static dev.gptq.tensor.Layout.ROW_MAJOR;

import dev.gptq.backend.QuantizationOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What {@link QuantizationOps} promises: the same bits on every backend. */
public abstract class QuantizationConformance extends Conformance {
  private static final int[] BITS = {2, 3, 4, 8};
  private static final GridSearch[] SEARCHES = {GridSearch.MIN_MAX, GridSearch.MSE};
  private static final DType[] SCALE_TYPES = {DType.F32, DType.F16, DType.BF16};

  /** For subclasses. */
  protected QuantizationConformance() {}

  private static void forEachSpec(Consumer<GridSpec> test) {
    for (Scheme scheme : Scheme.values()) {
      for (int bits : BITS) {
        for (GridSearch search : SEARCHES) {
          for (DType type : SCALE_TYPES) {
            test.accept(new GridSpec(scheme, bits, search, type));
          }
        }
      }
    }
  }

  @Test
  void fitGridForEverySpec() {
    forEachSpec(spec -> {
      fitGrid(spec, peculiarRows(inputs(), 24, 33));
      fitGrid(spec, inputs().normal(F32, COLUMN_MAJOR, 37, 64));
    });
  }

  @Test
  void fitGridOfEveryShape() {
    for (GridSearch search : SEARCHES) {
      GridSpec spec = GridSpec.of(Scheme.ASYMMETRIC, 4).withSearch(search);
      for (int[] s : Shapes.MATRIX) {
        fitGrid(spec, inputs().normal(F32, COLUMN_MAJOR, s[0], s[1]));
      }
      for (int rows : Shapes.VECTOR) {
        fitGrid(spec, inputs().normal(F32, COLUMN_MAJOR, rows, 5));
      }
    }
    fitGrid(
        GridSpec.of(Scheme.SYMMETRIC, 4).withSearch(GridSearch.MSE),
        inputs().normal(F32, COLUMN_MAJOR, 300, 517));
  }

  private void fitGrid(GridSpec spec, Matrix w) {
    operation("fitGrid " + spec + " of " + w)
        .in("w", w)
        .out("scale", F32, COLUMN_MAJOR, w.rows(), 1)
        .out("zero", F32, COLUMN_MAJOR, w.rows(), 1)
        .isExact((backend, t, scope) ->
            backend.quantization().fitGrid(t.get("w"), spec, t.get("scale"), t.get("zero")));
  }

  @Test
  void fitGroupsForEverySpec() {
    forEachSpec(spec -> {
      fitGroups(spec, 24, 33, 3);
      fitGroups(spec.withSearch(GridSearch.MSE), 37, 16, 4);
    });
    fitGroups(GridSpec.of(Scheme.SYMMETRIC, 4), 70, 384, 3);
  }

  private void fitGroups(GridSpec spec, int rows, int columns, int groups) {
    Matrix w = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    operation("fitGroups " + spec + " of " + w)
        .in("w", w)
        .out("scale", F32, COLUMN_MAJOR, rows, groups)
        .out("zero", F32, COLUMN_MAJOR, rows, groups)
        .isExact((backend, t, scope) ->
            backend.quantization().fitGroups(t.get("w"), spec, t.get("scale"), t.get("zero")));
  }

  /** Scales of 7 or 8 bits, and zero points that are stored less one, of rows without negatives. */
  @Test
  void fitGridOfFewScaleBits() {
    for (DType type : SCALE_TYPES) {
      GridSpec short7 = new GridSpec(Scheme.SYMMETRIC, 4, GridSearch.MIN_MAX, type, 7, 0);
      fitGrid(short7, peculiarRows(inputs(), 24, 33));
      GridSpec fromOne = new GridSpec(Scheme.ASYMMETRIC, 6, GridSearch.MIN_MAX, type, 8, 1);
      fitGrid(fromOne, peculiarRows(inputs(), 24, 33));
      fitGrid(fromOne, positive(19, 33));
      fitGridWeighted(fromOne, false, positive(19, 33));
    }
  }

  private Matrix positive(int rows, int columns) {
    Matrix w = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    double[] v = w.values();
    for (int i = 0; i < v.length; i++) {
      v[i] = i % 7 == 3 ? -0.05 * Math.abs(v[i]) : Math.abs(v[i]);
      v[i] = (float) v[i];
    }
    return w;
  }

  @Test
  void candidateGridForEverySpec() {
    forEachSpec(spec -> {
      for (GridLadder.Rung c :
          new GridLadder.Rung[] {
            new GridLadder.Rung(1, 0),
            new GridLadder.Rung(0.4f, 1),
            new GridLadder.Rung(1.1f, -1),
            new GridLadder.Rung(-0.7f, 0)
          }) {
        Matrix w = peculiarRows(inputs(), 24, 33);
        operation("candidateGrid " + spec + ", " + c)
            .in("w", w)
            .out("scale", F32, COLUMN_MAJOR, w.rows(), 1)
            .out("zero", F32, COLUMN_MAJOR, w.rows(), 1)
            .isExact((backend, t, scope) ->
                backend
                    .quantization()
                    .candidateGrid(
                        t.get("w"),
                        spec,
                        c.shrink(),
                        c.zeroShift(),
                        t.get("scale"),
                        t.get("zero")));
      }
    });
  }

  @Test
  void fitGridWeightedForEverySpec() {
    forEachSpec(spec -> {
      for (boolean signed : new boolean[] {false, true}) {
        fitGridWeighted(spec, signed, peculiarRows(inputs(), 24, 33));
        fitGridWeighted(spec, signed, inputs().normal(F32, COLUMN_MAJOR, 37, 64));
      }
    });
  }

  @Test
  void fitGridWeightedOfEveryShape() {
    for (Scheme scheme : new Scheme[] {Scheme.ASYMMETRIC, Scheme.SYMMETRIC}) {
      GridSpec spec = GridSpec.of(scheme, 4);
      for (int[] s : Shapes.MATRIX) {
        fitGridWeighted(spec, false, inputs().normal(F32, COLUMN_MAJOR, s[0], s[1]));
      }
      for (int rows : Shapes.VECTOR) {
        fitGridWeighted(spec, false, inputs().normal(F32, COLUMN_MAJOR, rows, 5));
      }
    }
    fitGridWeighted(
        GridSpec.of(Scheme.ASYMMETRIC, 3), false, inputs().normal(F32, COLUMN_MAJOR, 300, 517));
  }

  private void fitGridWeighted(GridSpec spec, boolean signed, Matrix w) {
    // Weights over many orders of magnitude, as the diagonals of real Hessians are; one is zero.
    Matrix weight = inputs().normal(F32, ROW_MAJOR, 1, w.columns());
    double[] v = weight.values();
    for (int j = 0; j < v.length; j++) {
      v[j] = j == 2 ? 0 : (float) Math.exp(3 * v[j]);
    }
    operation("fitGridWeighted " + spec + (signed ? " signed" : "") + " of " + w)
        .in("w", w)
        .in("weight", weight)
        .out("scale", F32, COLUMN_MAJOR, w.rows(), 1)
        .out("zero", F32, COLUMN_MAJOR, w.rows(), 1)
        .isExact((backend, t, scope) ->
            backend
                .quantization()
                .fitGridWeighted(
                    t.get("w"),
                    t.get("weight"),
                    spec,
                    GridLadder.of(spec, GridLadder.FINE, signed),
                    t.get("scale"),
                    t.get("zero")));
  }

  @Test
  void quantizeNearestForEverySpec() {
    forEachSpec(spec -> {
      nearest(spec, peculiarRows(inputs(), 24, 33), 1);
      nearest(spec, inputs().normal(F32, COLUMN_MAJOR, 17, 64), 4);
    });
  }

  @Test
  void quantizeNearestOfEveryShape() {
    for (int[] s : Shapes.MATRIX) {
      nearest(GridSpec.of(Scheme.SYMMETRIC, 4), inputs().normal(F32, COLUMN_MAJOR, s[0], s[1]), 2);
    }
    for (int rows : Shapes.VECTOR) {
      nearest(GridSpec.of(Scheme.HALF_OFFSET, 3), inputs().normal(F32, COLUMN_MAJOR, rows, 9), 3);
    }
    nearest(GridSpec.of(Scheme.ASYMMETRIC, 8), inputs().normal(F32, COLUMN_MAJOR, 300, 517), 5);
  }

  private void nearest(GridSpec spec, Matrix w, int groups) {
    Grids grids = Grids.of(inputs(), spec, w.rows(), w.columns(), groups);
    grids
        .arguments(operation("quantizeNearest " + spec + " of " + w).in("w", w))
        .out("codes", U8, COLUMN_MAJOR, w.rows(), w.columns())
        .isExact((backend, t, scope) ->
            backend.quantization().quantizeNearest(t.get("w"), grid(spec, t), t.get("codes")));
  }

  /** With scale 1, ties lie at the halves and the borders of the clamp at the ends. */
  @Test
  void quantizeNearestRoundsTiesToEven() {
    double[] values = new double[200];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i - 100) / 4.0;
    }
    values[100] = -0.0;
    values[3] = 0x1p-149;
    values[4] = -0x1p-149;
    values[5] = Math.nextDown(0.5f);
    values[6] = Math.nextUp(-0.5f);
    values[7] = 1e30;
    values[8] = -1e30;
    values[9] = 0x1p23 + 1;
    values[10] = -0x1p23 - 1;
    Matrix w = new Matrix(F32, COLUMN_MAJOR, 100, 2, values);
    for (Scheme scheme : Scheme.values()) {
      for (int bits : BITS) {
        for (double scale : new double[] {1, 0.5, 0x1p-20}) {
          GridSpec spec = GridSpec.of(scheme, bits);
          double zero = scheme.hasZeroPoint() ? 1 : scheme.fixedZero(bits);
          operation("quantizeNearest of ties, " + spec + ", scale " + scale)
              .in("w", w)
              .in("scale", Matrix.filled(F32, COLUMN_MAJOR, 100, 1, scale))
              .in("zero", Matrix.filled(F32, COLUMN_MAJOR, 100, 1, zero))
              .in("groupOf", Matrix.row(0, 0))
              .out("codes", U8, COLUMN_MAJOR, 100, 2)
              .isExact((backend, t, scope) ->
                  backend
                      .quantization()
                      .quantizeNearest(t.get("w"), grid(spec, t), t.get("codes")));
        }
      }
    }
  }

  @Test
  void quantizeBlockForEverySpec() {
    forEachSpec(spec -> {
      block(spec, peculiarRows(inputs(), 24, 33), 1);
      block(spec, inputs().normal(F32, COLUMN_MAJOR, 17, 32), 4);
    });
  }

  @Test
  void quantizeBlockOfEveryShape() {
    for (int[] s : Shapes.MATRIX) {
      block(GridSpec.of(Scheme.SYMMETRIC, 4), inputs().normal(F32, COLUMN_MAJOR, s[0], s[1]), 2);
    }
    for (int rows : Shapes.VECTOR) {
      block(GridSpec.of(Scheme.HALF_OFFSET, 3), inputs().normal(F32, COLUMN_MAJOR, rows, 17), 3);
    }
    for (int columns : Shapes.VECTOR) {
      block(GridSpec.of(Scheme.ASYMMETRIC, 2), inputs().normal(F32, COLUMN_MAJOR, 19, columns), 1);
    }
    block(GridSpec.of(Scheme.ASYMMETRIC, 4), inputs().normal(F32, COLUMN_MAJOR, 517, 128), 2);
    block(GridSpec.of(Scheme.SYMMETRIC, 4), inputs().normal(F32, COLUMN_MAJOR, 65, 300), 3);
  }

  private void block(GridSpec spec, Matrix w, int groups) {
    Grids grids = Grids.of(inputs(), spec, w.rows(), w.columns(), groups);
    grids
        .arguments(operation("quantizeBlock " + spec + " of " + w).inOut("w", w))
        .in("u", triangle(inputs(), w.columns()))
        .out("codes", U8, COLUMN_MAJOR, w.rows(), w.columns())
        .isExact((backend, t, scope) ->
            backend
                .quantization()
                .quantizeBlock(t.get("w"), t.get("u"), grid(spec, t), t.get("codes")));
  }

  /** With unit scales, a unit diagonal and small dyadic entries every step meets exact ties. */
  @Test
  void quantizeBlockRoundsTiesToEven() {
    int n = 16;
    double[] w = new double[48 * n];
    double[] u = new double[n * n];
    for (int i = 0; i < w.length; i++) {
      w[i] = (inputs().integer(65) - 32) / 4.0;
    }
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        u[i * n + j] = i == j ? 1 : (inputs().integer(5) - 2) / 2.0;
      }
    }
    for (Scheme scheme : Scheme.values()) {
      GridSpec spec = GridSpec.of(scheme, 4);
      double zero = scheme.hasZeroPoint() ? 7 : scheme.fixedZero(4);
      operation("quantizeBlock of ties, " + scheme)
          .inOut("w", new Matrix(F32, COLUMN_MAJOR, 48, n, w))
          .in("scale", Matrix.filled(F32, COLUMN_MAJOR, 48, 1, 1))
          .in("zero", Matrix.filled(F32, COLUMN_MAJOR, 48, 1, zero))
          .in("groupOf", Matrix.row(new int[n]))
          .in("u", Matrix.of(n, n, u))
          .out("codes", U8, COLUMN_MAJOR, 48, n)
          .isExact((backend, t, scope) ->
              backend
                  .quantization()
                  .quantizeBlock(t.get("w"), t.get("u"), grid(spec, t), t.get("codes")));
    }
  }

  /**
   * Numbers that divisions by reciprocals have to leave to others, some of them among usual ones.
   */
  @Test
  void quantizeBlockOfExtremeNumbers() {
    int rows = 40;
    int n = 64;
    double[] extremes = {-0.0, 0x1p-149, 1e-20, -3e-19, 1e30, -0x1p61};
    double[] w = inputs().normal(F32, COLUMN_MAJOR, rows, n).values().clone();
    for (int i = 0; i < w.length; i += 7) {
      w[i] = extremes[i / 7 % extremes.length];
    }
    double[] scales = new double[rows];
    for (int r = 0; r < rows; r++) {
      scales[r] = r % 9 == 1 ? 0x1p-41 : r % 9 == 4 ? 0x1p-60 : r % 9 == 7 ? 0x1p45 : 0.25;
    }
    double[] u = triangle(inputs(), n).values().clone();
    u[20 * n + 20] = 0x1p-45;
    u[50 * n + 50] = 0x1p42;
    for (Scheme scheme : Scheme.values()) {
      GridSpec spec = GridSpec.of(scheme, 4);
      double zero = scheme.hasZeroPoint() ? 7 : scheme.fixedZero(4);
      operation("quantizeBlock of extreme numbers, " + scheme)
          .inOut("w", new Matrix(F32, COLUMN_MAJOR, rows, n, w))
          .in("scale", new Matrix(F32, COLUMN_MAJOR, rows, 1, scales))
          .in("zero", Matrix.filled(F32, COLUMN_MAJOR, rows, 1, zero))
          .in("groupOf", Matrix.row(new int[n]))
          .in("u", Matrix.of(n, n, u))
          .out("codes", U8, COLUMN_MAJOR, rows, n)
          .isExact((backend, t, scope) ->
              backend
                  .quantization()
                  .quantizeBlock(t.get("w"), t.get("u"), grid(spec, t), t.get("codes")));
    }
  }

  @Test
  void dequantizeForEverySpecAndLayout() {
    forEachSpec(spec -> {
      for (Layout layout : Layout.values()) {
        dequantize(spec, 17, 33, 1, layout);
        dequantize(spec, 9, 64, 4, layout);
      }
    });
  }

  @Test
  void dequantizeOfEveryShape() {
    for (Layout layout : Layout.values()) {
      for (int[] s : Shapes.MATRIX) {
        dequantize(GridSpec.of(Scheme.ASYMMETRIC, 4), s[0], s[1], 2, layout);
      }
      dequantize(GridSpec.of(Scheme.HALF_OFFSET, 8), 300, 517, 7, layout);
    }
  }

  private void dequantize(GridSpec spec, int rows, int columns, int groups, Layout layout) {
    Grids grids = Grids.of(inputs(), spec, rows, columns, groups);
    Operation operation =
        operation("dequantize " + spec + " of " + rows + " x " + columns + " to " + layout)
            .in("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits()));
    grids
        .arguments(operation)
        .out("w", F32, layout, rows, columns)
        .isExact((backend, t, scope) ->
            backend.quantization().dequantize(t.get("codes"), grid(spec, t), t.get("w")));
  }

  @Test
  void subtractForEverySpec() {
    forEachSpec(spec -> {
      subtract(spec, 17, 33, 1);
      subtract(spec, 9, 64, 4);
    });
  }

  @Test
  void subtractOfEveryShape() {
    for (int[] s : Shapes.MATRIX) {
      subtract(GridSpec.of(Scheme.ASYMMETRIC, 4), s[0], s[1], 2);
    }
    subtract(GridSpec.of(Scheme.HALF_OFFSET, 8), 300, 517, 7);
  }

  private void subtract(GridSpec spec, int rows, int columns, int groups) {
    Grids grids = Grids.of(inputs(), spec, rows, columns, groups);
    Operation operation =
        operation("subtract " + spec + " from " + rows + " x " + columns)
            .in("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits()));
    grids
        .arguments(operation)
        .in("w", inputs().normal(F32, COLUMN_MAJOR, rows, columns))
        .out("difference", F32, COLUMN_MAJOR, rows, columns)
        .isExact((backend, t, scope) ->
            backend
                .quantization()
                .subtract(t.get("w"), t.get("codes"), grid(spec, t), t.get("difference")));
  }

  static Grid grid(GridSpec spec, Map<String, Tensor> t) {
    return new Grid(spec, t.get("scale"), t.get("zero"), t.get("groupOf"));
  }

  /** An upper triangle like that of a factor; below it NaN, which must not be read. */
  static Matrix triangle(Inputs inputs, int n) {
    Matrix u = inputs.normal(F32, ROW_MAJOR, n, n);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double value = i == j ? 1 + Math.abs(u.at(i, j)) : 0.3 * u.at(i, j) / Math.sqrt(n);
        u.values()[i * n + j] = i > j ? Double.NaN : (float) value;
      }
    }
    return u;
  }

  /** Rows that grids and rounding treat in their own way, then normal ones. */
  static Matrix peculiarRows(Inputs inputs, int rows, int columns) {
    Matrix w = inputs.normal(F32, COLUMN_MAJOR, rows, columns);
    double[] v = w.values();
    for (int c = 0; c < columns; c++) {
      v[c] = 0;
      v[columns + c] = -0.0;
      v[2 * columns + c] = Math.abs(v[2 * columns + c]) + 0.5f;
      v[3 * columns + c] = -Math.abs(v[3 * columns + c]) - 0.5f;
      v[4 * columns + c] = (float) (v[4 * columns + c] * 0x1p-115);
      v[5 * columns + c] = (float) (v[5 * columns + c] * 1e-7);
      v[6 * columns + c] = (float) (v[6 * columns + c] * 1e4);
      v[7 * columns + c] = c == columns / 2 ? 3 : 0;
      v[8 * columns + c] = c - columns / 2;
      v[9 * columns + c] = (c % 31 - 15) / 2.0;
      v[10 * columns + c] = c % 2 == 0 ? 0.25 : -0.25;
      v[11 * columns + c] = c == 3 ? 0x1p-149 : 0.1f;
    }
    return w;
  }
}
