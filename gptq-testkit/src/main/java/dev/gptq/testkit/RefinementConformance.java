package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.I32;
import static dev.gptq.tensor.DType.U8;
import static dev.gptq.tensor.Layout.COLUMN_MAJOR;
import static dev.gptq.tensor.Layout.ROW_MAJOR;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What {@link dev.gptq.backend.QuantizationOps} promises beyond plain GPTQ. */
public abstract class RefinementConformance extends Conformance {
  private static final int[] BITS = {2, 3, 4, 8};

  /** For subclasses. */
  protected RefinementConformance() {}

  @Test
  void beamBlockForEverySpec() {
    for (Scheme scheme : Scheme.values()) {
      for (int bits : BITS) {
        GridSpec spec = GridSpec.of(scheme, bits);
        beam(spec, QuantizationConformance.peculiarRows(inputs(), 24, 17), 1, 4, 1);
        beam(spec, inputs().normal(F32, COLUMN_MAJOR, 9, 32), 4, 4, 1);
      }
    }
  }

  @Test
  void beamBlockOfEveryWidth() {
    GridSpec spec = GridSpec.of(Scheme.ASYMMETRIC, 3);
    for (int paths : new int[] {1, 2, 3, 7, 16, 32}) {
      beam(spec, inputs().normal(F32, COLUMN_MAJOR, 5, 19), 2, paths, 1);
      beam(spec, inputs().normal(F32, COLUMN_MAJOR, 5, 19), 2, paths, paths);
    }
    for (int[] s : Shapes.MATRIX) {
      beam(spec, inputs().normal(F32, COLUMN_MAJOR, s[0], s[1]), 1, 3, 2);
    }
    beam(spec, inputs().normal(F32, COLUMN_MAJOR, 70, 128), 1, 16, 16);
  }

  /** Weights and scales of few bits make many continuations cost the same. */
  @Test
  void beamBlockKeepsTheOrderOfTies() {
    int n = 12;
    double[] w = new double[20 * n];
    for (int i = 0; i < w.length; i++) {
      w[i] = (inputs().integer(33) - 16) / 2.0;
    }
    double[] u = new double[n * n];
    for (int i = 0; i < n; i++) {
      u[i * n + i] = 1;
    }
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    for (double scale : new double[] {1, -1}) {
      operation("beamBlock of ties, scale " + scale)
          .inOut("w", repeated(new Matrix(F32, COLUMN_MAJOR, 20, n, w), 4))
          .inOut("cost", costs(20, 4, 1))
          .in("scale", Matrix.filled(F32, COLUMN_MAJOR, 20, 1, scale))
          .in("zero", Matrix.filled(F32, COLUMN_MAJOR, 20, 1, 8))
          .in("groupOf", Matrix.row(new int[n]))
          .in("u", Matrix.of(n, n, u))
          .out("codes", U8, COLUMN_MAJOR, 80, n)
          .out("source", I32, ROW_MAJOR, 1, 80)
          .isExact(beam(spec));
    }
  }

  private void beam(GridSpec spec, Matrix w, int groups, int paths, int existing) {
    Grids grids = Grids.of(inputs(), spec, w.rows(), w.columns(), groups);
    grids
        .arguments(
            operation("beamBlock " + spec + " of " + w + ", " + paths + " paths")
                .inOut("w", repeated(w, paths))
                .inOut("cost", costs(w.rows(), paths, existing)))
        .in("u", QuantizationConformance.triangle(inputs(), w.columns()))
        .out("codes", U8, COLUMN_MAJOR, w.rows() * paths, w.columns())
        .out("source", I32, ROW_MAJOR, 1, w.rows() * paths)
        .isExact(beam(spec));
  }

  private static Operation.Call beam(GridSpec spec) {
    return (backend, t, scope) ->
        backend
            .quantization()
            .beamBlock(
                t.get("w"),
                t.get("cost"),
                t.get("u"),
                QuantizationConformance.grid(spec, t),
                t.get("codes"),
                t.get("source"));
  }

  @Test
  void keepDescendants() {
    for (int paths : new int[] {1, 2, 8, 32}) {
      for (int rows : Shapes.VECTOR) {
        int[] origin = new int[paths * rows];
        for (int i = 0; i < origin.length; i++) {
          origin[i] = inputs().integer(2) * rows + i % rows;
        }
        operation("keepDescendants of " + paths + " paths of " + rows + " rows")
            .in("origin", Matrix.row(origin))
            .inOut("cost", costs(rows, paths, paths))
            .isExact((backend, t, scope) ->
                backend.quantization().keepDescendants(t.get("origin"), t.get("cost")));
      }
    }
  }

  /** Path p of row r at p·m + r, a little different in each path. */
  private static Matrix repeated(Matrix w, int paths) {
    double[] values = new double[paths * w.values().length];
    for (int i = 0; i < values.length; i++) {
      int path = i / w.values().length;
      values[i] = (float) (w.values()[i % w.values().length] * (1 + path / 64.0));
    }
    return new Matrix(F32, COLUMN_MAJOR, paths * w.rows(), w.columns(), values);
  }

  /** Ascending costs of the paths that exist, infinite ones of the rest. */
  private static Matrix costs(int rows, int paths, int existing) {
    double[] values = new double[rows * paths];
    for (int r = 0; r < rows; r++) {
      for (int p = 0; p < paths; p++) {
        values[r * paths + p] = p < existing ? p * (r % 5) / 8.0 : Double.POSITIVE_INFINITY;
      }
    }
    return new Matrix(F32, COLUMN_MAJOR, rows, paths, values);
  }

  @Test
  void descendBlockForEverySpec() {
    for (Scheme scheme : Scheme.values()) {
      for (int bits : BITS) {
        descend(GridSpec.of(scheme, bits), 17, 32, 4);
      }
    }
  }

  @Test
  void descendBlockOfEveryShape() {
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    for (int[] s : Shapes.MATRIX) {
      descend(spec, s[0], s[1], 2);
    }
    for (int rows : Shapes.VECTOR) {
      descend(spec, rows, 9, 1);
    }
    descend(spec, 131, 128, 1);
    for (Scheme scheme : Scheme.values()) {
      descend(GridSpec.of(scheme, 3), 37, 4, inputs().gram(128, 0.1));
    }
  }

  private void descend(GridSpec spec, int rows, int columns, int groups) {
    Matrix h = inputs().gram(columns, 0.1);
    if (columns > 3) {
      for (int i = 0; i < columns; i++) {
        h.values()[3 * columns + i] = 0;
        h.values()[i * columns + 3] = 0;
      }
    }
    descend(spec, rows, groups, h);
  }

  private void descend(GridSpec spec, int rows, int groups, Matrix h) {
    int columns = h.columns();
    Matrix gradient = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    Grids grids = Grids.of(inputs(), spec, rows, columns, groups);
    operation("descendBlock " + spec + " of " + gradient)
        .in("scale", grids.scale())
        .in("groupOf", grids.groupOf())
        .inOut("gradient", gradient)
        .in("h", h)
        .inOut("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits()))
        .out("delta", F32, COLUMN_MAJOR, rows, columns)
        .isExact((backend, t, scope) ->
            backend
                .quantization()
                .descendBlock(
                    t.get("gradient"),
                    t.get("h"),
                    // Zero points have no part in it.
                    new Grid(
                        spec,
                        t.get("scale"),
                        scope.zeros(F32, rows, groups, COLUMN_MAJOR),
                        t.get("groupOf")),
                    t.get("codes"),
                    t.get("delta")));
  }

  /** Groups that tensor cores take, ones that they do not, and a part of a tile of rows. */
  @Test
  void refitSystemIsThatOfEachRow() {
    for (int[] s :
        new int[][] {
          {1, 1, 1},
          {3, 6, 2},
          {5, 21, 3},
          {7, 96, 3},
          {130, 128, 4},
          {65, 64, 1},
          {9, 256, 2},
          {261, 512, 4}
        }) {
      refitSystem(s[0], s[1], s[2]);
    }
  }

  private void refitSystem(int rows, int columns, int groups) {
    Matrix steps = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    for (int i = 0; i < steps.values().length; i++) {
      steps.values()[i] = (inputs().integer(511) - 255) / 2.0;
    }
    Matrix h = inputs().normal(F32, ROW_MAJOR, columns, columns);
    for (int i = 0; i < columns; i++) {
      for (int j = 0; j < i; j++) {
        h.values()[i * columns + j] = h.values()[j * columns + i];
      }
    }
    // Both sides of the same size, so that one bound holds for either.
    Matrix difference = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    for (int i = 0; i < difference.values().length; i++) {
      difference.values()[i] = (float) (100 * difference.values()[i]);
    }
    operation("refitSystem of " + steps + ", " + groups)
        .in("steps", steps)
        .in("difference", difference)
        .in("h", h)
        .out("normal", F32, COLUMN_MAJOR, rows, groups * (groups + 1) / 2)
        .out("gradient", F32, COLUMN_MAJOR, rows, groups)
        .isWithin(
            Tolerance.dot(columns / groups + columns),
            8192.0 * columns * columns / groups,
            (backend, t, scope) ->
                backend
                    .quantization()
                    .refitSystem(
                        t.get("steps"),
                        t.get("difference"),
                        t.get("h"),
                        t.get("normal"),
                        t.get("gradient")));
  }

  @Test
  void refitScalesSolvesEachRow() {
    for (int groups : new int[] {1, 2, 3, 8, 17, 64}) {
      // Systems grow with the square of the groups: the largest for a few numbers of rows.
      for (int rows : groups > 8 ? new int[] {1, 33, 129} : Shapes.VECTOR) {
        refit(new GridSpec(Scheme.SYMMETRIC, 4, GRID_SEARCH, DType.F32), rows, groups);
      }
    }
  }

  /** As whole rows of 49152 columns have them in groups of 128: more than a GPU's shared memory. */
  @Test
  void refitScalesSolvesLargeSystems() {
    refit(new GridSpec(Scheme.SYMMETRIC, 4, GRID_SEARCH, DType.F32), 3, 250);
  }

  /** Whatever the rounding of the scales, no row's loss grows. */
  @Test
  void refitScalesNeverRaisesTheLoss() {
    int rows = 40;
    int groups = 9;
    for (DType type : new DType[] {DType.F16, DType.BF16}) {
      GridSpec spec = new GridSpec(Scheme.ASYMMETRIC, 3, GRID_SEARCH, type, 8, 1);
      Matrix normal = normal(rows, groups);
      Matrix gradient = gradient(rows, groups);
      Matrix scale = scales(rows, groups, spec);
      Map<String, Matrix> outputs = refitted(spec, normal, gradient, scale);
      Matrix refitted = outputs.get("scale");
      int moved = 0;
      for (int r = 0; r < rows; r++) {
        double change = lossChange(normal, gradient, scale, refitted, r);
        assertThat(change).as("row " + r).isLessThanOrEqualTo(1e-9);
        assertThat(outputs.get("change").at(r, 0)).isCloseTo(change, within(1e-6));
        moved += change < 0 ? 1 : 0;
        for (int g = 0; g < groups; g++) {
          float s = (float) refitted.at(r, g);
          assertThat(spec.roundScale(s)).as("stored scale").isEqualTo(s);
        }
      }
      assertThat(moved).isGreaterThan(rows / 2);
    }
  }

  @Test
  void refitScalesLeavesRowsItCannotSolve() {
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    Matrix normal = normal(3, 2);
    Matrix gradient = gradient(3, 2);
    for (int i = 0; i < 3; i++) {
      normal.values()[i] = 0;
      normal.values()[3 + i] = -1;
    }
    Matrix scale = scales(3, 2, spec);
    Matrix refitted = refitted(spec, normal, gradient, scale).get("scale");
    for (int r = 0; r < 2; r++) {
      assertThat(refitted.at(r, 0)).isEqualTo(scale.at(r, 0));
      assertThat(refitted.at(r, 1)).isEqualTo(scale.at(r, 1));
    }
    assertThat(refitted.at(2, 0)).isNotEqualTo(scale.at(2, 0));
  }

  private static final GridSearch GRID_SEARCH = GridSearch.MIN_MAX;

  private void refit(GridSpec spec, int rows, int groups) {
    Matrix scale = scales(rows, groups, spec);
    operation("refitScales of " + scale)
        .in("normal", normal(rows, groups))
        .in("gradient", gradient(rows, groups))
        .inOut("scale", scale)
        .out("change", F32, COLUMN_MAJOR, rows, 1)
        .isWithin(Tolerance.wellConditionedSolve(groups), 2, refit(spec));
  }

  private Map<String, Matrix> refitted(
      GridSpec spec, Matrix normal, Matrix gradient, Matrix scale) {
    return operation("refitScales")
        .in("normal", normal)
        .in("gradient", gradient)
        .inOut("scale", scale)
        .out("change", F32, COLUMN_MAJOR, normal.rows(), 1)
        .runUnderTest(refit(spec));
  }

  private static Operation.Call refit(GridSpec spec) {
    return (backend, t, scope) ->
        backend
            .quantization()
            .refitScales(t.get("normal"), t.get("gradient"), spec, t.get("scale"), t.get("change"));
  }

  private Matrix scales(int rows, int groups, GridSpec spec) {
    Matrix scale = inputs().normal(F32, COLUMN_MAJOR, rows, groups);
    double[] v = scale.values();
    for (int i = 0; i < v.length; i++) {
      // A few are negative: they keep their sign.
      v[i] = spec.roundScale((float) (i % 7 == 5 ? -1 - Math.abs(v[i]) : 1 + Math.abs(v[i])));
    }
    return scale;
  }

  /** Steps of up to half of the scales. */
  private Matrix gradient(int rows, int groups) {
    Matrix gradient = inputs().normal(F32, COLUMN_MAJOR, rows, groups);
    double[] v = gradient.values();
    for (int i = 0; i < v.length; i++) {
      v[i] = (float) (0.2 * v[i]);
    }
    return gradient;
  }

  private Matrix normal(int rows, int groups) {
    double[] values = new double[rows * groups * (groups + 1) / 2];
    for (int r = 0, i = 0; r < rows; r++) {
      for (int g = 0; g < groups; g++) {
        for (int h = 0; h <= g; h++, i++) {
          values[i] =
              (float)
                  (g == h
                      ? 1 + inputs().integer(100) / 200.0
                      : (inputs().integer(100) - 50) / (100.0 * groups));
        }
      }
    }
    return new Matrix(F32, COLUMN_MAJOR, rows, groups * (groups + 1) / 2, values);
  }

  private static double lossChange(
      Matrix normal, Matrix gradient, Matrix before, Matrix after, int r) {
    double change = 0;
    for (int g = 0, i = 0; g < before.columns(); g++) {
      double dg = after.at(r, g) - before.at(r, g);
      change -= 2 * dg * gradient.at(r, g);
      for (int h = 0; h <= g; h++, i++) {
        double dh = after.at(r, h) - before.at(r, h);
        change += (g == h ? 1 : 2) * dg * dh * normal.at(r, i);
      }
    }
    return change;
  }

  @Test
  void rowDotsOfEveryShape() {
    for (int[] s : Shapes.MATRIX) {
      rowDots(s[0], s[1], 1);
      rowDots(s[0], s[1], 3);
    }
    for (int n : Shapes.VECTOR) {
      rowDots(n, 5, 2);
      rowDots(3, n, 1);
    }
    rowDots(300, 517, 1);
    rowDots(70, 128, 17);
  }

  private void rowDots(int rows, int run, int runs) {
    int columns = run * runs;
    Matrix a = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    Matrix b = inputs().normal(F32, COLUMN_MAJOR, rows, columns);
    double[] magnitude = new double[rows * runs];
    for (int i = 0; i < magnitude.length; i++) {
      for (int k = i * run; k < (i + 1) * run; k++) {
        magnitude[i] += Math.abs(a.values()[k] * b.values()[k]);
      }
    }
    operation("rowDots of " + a)
        .in("a", a)
        .in("b", b)
        .out("out", F32, COLUMN_MAJOR, rows, runs)
        .isWithin(
            Tolerance.dot(run),
            new Matrix(F32, COLUMN_MAJOR, rows, runs, magnitude),
            (backend, t, scope) -> backend.linalg().rowDots(t.get("a"), t.get("b"), t.get("out")));
  }

  @Test
  void replaceRowsOfEveryShape() {
    for (DType type : new DType[] {F32, U8}) {
      for (int[] s : Shapes.MATRIX) {
        replaceRows(type, s[0], s[1]);
      }
      for (int rows : Shapes.VECTOR) {
        replaceRows(type, rows, 3);
      }
    }
  }

  private void replaceRows(DType type, int rows, int columns) {
    Matrix from = inputs().codes(COLUMN_MAJOR, rows, columns, 8).as(type);
    Matrix to = inputs().codes(COLUMN_MAJOR, rows, columns, 8).as(type);
    Matrix challenger = inputs().codes(COLUMN_MAJOR, rows, 1, 2).as(F32);
    Matrix incumbent = inputs().codes(COLUMN_MAJOR, rows, 1, 2).as(F32);
    operation("replaceRows of " + from)
        .in("challenger", challenger)
        .in("incumbent", incumbent)
        .in("from", from)
        .inOut("to", to)
        .isExact((backend, t, scope) ->
            backend
                .linalg()
                .replaceRows(t.get("challenger"), t.get("incumbent"), t.get("from"), t.get("to")));
  }

  /** The incumbent's own costs are replaced last, by the challenger's. */
  @Test
  void replaceRowsOfTheIncumbentItself() {
    Matrix challenger = inputs().normal(F32, COLUMN_MAJOR, 65, 1);
    Matrix incumbent = inputs().normal(F32, COLUMN_MAJOR, 65, 1);
    Map<String, Matrix> result =
        operation("replaceRows of the incumbent")
            .in("challenger", challenger)
            .inOut("incumbent", incumbent)
            .runUnderTest((backend, t, scope) ->
                backend
                    .linalg()
                    .replaceRows(
                        t.get("challenger"),
                        t.get("incumbent"),
                        t.get("challenger"),
                        t.get("incumbent")));
    for (int r = 0; r < 65; r++) {
      assertThat(result.get("incumbent").at(r, 0))
          .isEqualTo(Math.min(challenger.at(r, 0), incumbent.at(r, 0)));
    }
  }
}
