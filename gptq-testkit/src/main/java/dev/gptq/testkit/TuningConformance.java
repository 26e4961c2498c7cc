package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.U8;
import static dev.gptq.tensor.Layout.COLUMN_MAJOR;
import static dev.gptq.testkit.QuantizationConformance.grid;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.TuningOps;
import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** What {@link TuningOps} promises: the same bits on every backend. */
public abstract class TuningConformance extends Conformance {
  private static final int[][] SHAPES = {{1, 1, 1}, {17, 33, 2}, {130, 6, 3}};
  private static final GridSpec[] SPECS = {
    GridSpec.of(Scheme.ASYMMETRIC, 2),
    new GridSpec(Scheme.SYMMETRIC, 4, GridSearch.MIN_MAX, DType.F16, 8, 0),
    new GridSpec(Scheme.ASYMMETRIC, 8, GridSearch.MIN_MAX, DType.BF16)
  };

  /** For subclasses. */
  protected TuningConformance() {}

  @FunctionalInterface
  private interface Case {
    void test(GridSpec spec, int rows, int columns, Grids grids);
  }

  private void forEachCase(Case test) {
    for (GridSpec spec : SPECS) {
      for (int[] s : SHAPES) {
        Grids grids = Grids.of(inputs(), spec, s[0], s[1], s[2]);
        for (int i = 0; i < grids.scale().values().length; i += 3) {
          grids.scale().values()[i] *= -1;
        }
        test.test(spec, s[0], s[1], grids);
      }
    }
  }

  @Test
  void beginOffsets() {
    forEachCase((spec, rows, columns, grids) ->
        grids
            .arguments(
                operation("beginOffsets " + spec + " of " + rows + " x " + columns)
                    .in("w", inputs().normal(F32, COLUMN_MAJOR, rows, columns))
                    .in("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits())))
            .out("offsets", F32, COLUMN_MAJOR, rows, columns)
            .isExact((backend, t, scope) ->
                backend
                    .tuning()
                    .beginOffsets(t.get("w"), t.get("codes"), grid(spec, t), t.get("offsets"))));
  }

  @Test
  void descend() {
    forEachCase((spec, rows, columns, grids) ->
        grids
            .arguments(
                operation("descend " + spec + " of " + rows + " x " + columns)
                    .in("gradient", inputs().normal(F32, COLUMN_MAJOR, rows, columns))
                    .in("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits())))
            .inOut("offsets", inputs().normal(F32, COLUMN_MAJOR, rows, columns))
            .inOut("factors", factors(rows, grids.scale().columns()))
            .isExact((backend, t, scope) ->
                backend
                    .tuning()
                    .descend(
                        t.get("gradient"),
                        t.get("codes"),
                        grid(spec, t),
                        0.003f,
                        0.0003f,
                        t.get("offsets"),
                        t.get("factors"))));
  }

  @Test
  void tuned() {
    forEachCase((spec, rows, columns, grids) ->
        grids
            .arguments(
                operation("tuned " + spec + " of " + rows + " x " + columns)
                    .in("codes", inputs().codes(COLUMN_MAJOR, rows, columns, spec.bits())))
            .in("offsets", inputs().normal(F32, COLUMN_MAJOR, rows, columns))
            .in("factors", factors(rows, grids.scale().columns()))
            .out("tunedCodes", U8, COLUMN_MAJOR, rows, columns)
            .out("tunedScale", F32, COLUMN_MAJOR, rows, grids.scale().columns())
            .isExact((backend, t, scope) ->
                backend
                    .tuning()
                    .tuned(
                        t.get("codes"),
                        grid(spec, t),
                        t.get("offsets"),
                        t.get("factors"),
                        t.get("tunedCodes"),
                        t.get("tunedScale"))));
  }

  private Matrix factors(int rows, int groups) {
    Matrix factors = inputs().normal(F32, COLUMN_MAJOR, rows, groups);
    for (int i = 0; i < factors.values().length; i++) {
      factors.values()[i] = (float) (1 + 0.1 * factors.values()[i]);
    }
    return factors;
  }

  /**
   * One row of 2 bits, s = 0.5 and z = 1, worked out on paper. Offsets go against the gradient; the
   * second weight is at the edge of the lowest cell and the third has no gradient. F = 2·(1 − 1) −
   * 1·(0 − 1) + 0 + 3·(3 − 1) = 7, so that the factor falls.
   */
  @Test
  void oneStepByHand() {
    Backend backend = backend();
    try (TensorScope scope = backend.newScope()) {
      Tensor codes =
          scope.upload(MemorySegment.ofArray(new byte[] {1, 0, 2, 2}), U8, 1, 4, COLUMN_MAJOR);
      Grid grid =
          new Grid(
              GridSpec.of(Scheme.ASYMMETRIC, 2),
              column(scope, 0.5f),
              column(scope, 1),
              scope.upload(0, 0, 0, 0));
      Tensor offsets = column(scope, 0.25f, -0.5f, 0.125f, 0.75f);
      Tensor factors = column(scope, 1);
      backend
          .tuning()
          .descend(column(scope, 2, 1, 0, 3), codes, grid, 0.25f, 0.125f, offsets, factors);
      assertThat(HostCopies.floats(offsets)).containsExactly(0, -0.5f, 0.125f, 0.5f);
      assertThat(HostCopies.floats(factors)).containsExactly(0.875f);
      Tensor tuned = scope.columnMajor(U8, 1, 4);
      Tensor scale = scope.columnMajor(F32, 1, 1);
      backend.tuning().tuned(codes, grid, offsets, factors, tuned, scale);
      assertThat(HostCopies.bytes(tuned)).containsExactly(1, 0, 2, 2);
      assertThat(HostCopies.floats(scale)).containsExactly(0.4375f);
    }
  }

  private static Tensor column(TensorScope scope, float... values) {
    return scope.upload(MemorySegment.ofArray(values), F32, 1, values.length, COLUMN_MAJOR);
  }
}
