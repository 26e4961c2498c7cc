package dev.gptq.testkit;

import static dev.gptq.testkit.Matrices.multiply;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.InputDrift;
import dev.gptq.quantize.Refinement;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What the steps beyond plain GPTQ promise, on a whole solve. */
public abstract class AccuracyConformance extends Conformance {
  private static final int ROWS = 11;
  private static final int COLUMNS = 48;
  private static final int TOKENS = 90;

  /** For subclasses. */
  protected AccuracyConformance() {}

  private static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }

  private static Matrix download(Tensor t) {
    byte[] bytes = new byte[Math.toIntExact(t.byteSize())];
    t.copyTo(MemorySegment.ofArray(bytes));
    return Matrix.filled(t.type(), t.layout(), t.rows(), t.columns(), 0).decode(bytes);
  }

  /** Correlated inputs of unequal power. */
  private Matrix activations(int tokens, int columns) {
    Matrix x = inputs().normal(tokens, columns);
    for (int t = 0; t < tokens; t++) {
      double shared = x.at(t, 0);
      for (int c = 0; c < columns; c++) {
        double power = 1 + (c * 7 % 11) / 4.0;
        x.values()[t * columns + c] = (float) (power * (x.at(t, c) + 0.7 * shared));
      }
    }
    return x;
  }

  private record Solved(Matrix values, double loss, Matrix groupOf) {}

  private Solved solve(Matrix w, Matrix x, GptqOptions options) {
    try (TensorScope scope = backend().newScope()) {
      Hessian hessian = new Hessian(backend(), scope, x.columns());
      hessian.add(upload(scope, x));
      HessianFactor factor = HessianFactor.of(backend(), hessian, options, scope);
      Gptq.Result result = new Gptq(backend(), options).quantize(upload(scope, w), factor, scope);
      Tensor values = scope.columnMajor(DType.F32, w.rows(), w.columns());
      result.matrix().dequantize(backend(), values);
      return new Solved(
          download(values), result.loss(), download(result.matrix().grid().groupOf()));
    }
  }

  private static Matrix damped(Matrix x, double damping) {
    Matrix h = multiply(x.transposed(), x);
    double mean = Matrices.trace(h) / x.columns();
    for (int j = 0; j < x.columns(); j++) {
      h.values()[j * x.columns() + j] += damping * mean;
    }
    return h;
  }

  private static double loss(Matrix w, Matrix q, Matrix h) {
    Matrix d = Matrices.subtract(w, q);
    return 0.5 * Matrices.trace(multiply(multiply(d, h), d.transposed()));
  }

  private static GptqOptions options(Scheme scheme, int bits, GridSearch search, int group) {
    return GptqOptions.of(GridSpec.of(scheme, bits).withSearch(search), group);
  }

  /**
   * Every search with every refinement and order reports the loss it has; kinds of groups take
   * turns, so that each of them meets each of the others' choices.
   */
  @Test
  void lossIsTheDampedErrorOfEveryCombination() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activations(TOKENS, COLUMNS);
    Matrix h = damped(x, GptqOptions.DEFAULT_DAMPING);
    Refinement[] refinements = {
      Refinement.NONE,
      new Refinement(3, 0, 0, false),
      new Refinement(1, 2, 0, true),
      new Refinement(1, 0, 2, false),
      new Refinement(2, 2, 3, false)
    };
    GridSearch[] searches = GridSearch.values();
    ColumnOrder[] orders = ColumnOrder.values();
    for (int s = 0; s < searches.length; s++) {
      for (int r = 0; r < refinements.length; r++) {
        for (int o = 0; o < orders.length; o++) {
          int turn = s + r + o;
          GptqOptions options =
              options(Scheme.SYMMETRIC, 3, searches[s], turn % 4 < 2 ? GptqOptions.PER_ROW : 12)
                  .withOrder(orders[o])
                  .withStaticGroups(turn % 2 == 0)
                  .withBlockSize(8)
                  .withRefinement(refinements[r]);
          Solved solved = solve(w, x, options);
          double expected = loss(w, solved.values(), h);
          assertThat(solved.loss())
              .as(options.toString())
              .isCloseTo(expected, within(1e-3 * expected));
        }
      }
    }
  }

  /** Group-aware order leaves the groups where they are, whatever is done with them. */
  @Test
  void groupAwareOrderKeepsGroupsInPlace() {
    GptqOptions options =
        options(Scheme.ASYMMETRIC, 4, GridSearch.PIVOT, 12)
            .withOrder(ColumnOrder.GROUP_AWARE)
            .withRefinement(new Refinement(2, 2, 2, false));
    Solved solved = solve(inputs().normal(ROWS, COLUMNS), activations(TOKENS, COLUMNS), options);
    for (int c = 0; c < COLUMNS; c++) {
      assertThat(solved.groupOf().at(0, c)).isEqualTo(Math.floorDiv(c, 12));
    }
  }

  /** The beam of one path is the plain column loop, code for code. */
  @Test
  void widerBeamsAreBetterAndOneIsPlain() {
    Matrix w = inputs().normal(40, COLUMNS);
    Matrix x = activations(TOKENS, COLUMNS);
    GptqOptions plain = options(Scheme.ASYMMETRIC, 2, GridSearch.MIN_MAX, GptqOptions.PER_ROW);
    double loss = solve(w, x, plain).loss();
    double before = loss;
    for (int beam : new int[] {2, 4, 16, 32}) {
      double wider = solve(w, x, plain.withRefinement(new Refinement(beam, 0, 0, false))).loss();
      assertThat(wider).as(beam + " paths").isLessThan(before);
      before = wider;
    }
    assertThat(before).isLessThan(0.95 * loss);
  }

  /** On six columns of little correlation 32 paths are enough to find the best of all codes. */
  @Test
  void wideBeamFindsTheOptimum() {
    int rows = 25;
    int columns = 6;
    Matrix w = inputs().normal(rows, columns);
    Matrix x = inputs().normal(30, columns);
    GptqOptions options =
        options(Scheme.SYMMETRIC, 2, GridSearch.MIN_MAX, GptqOptions.PER_ROW)
            .withStaticGroups(true)
            .withRefinement(new Refinement(32, 0, 0, false));
    Solved solved = solve(w, x, options);
    Matrix h = damped(x, GptqOptions.DEFAULT_DAMPING);
    double best = 0;
    for (int r = 0; r < rows; r++) {
      double scale = 0;
      for (int c = 0; c < columns; c++) {
        scale = Math.max(scale, Math.abs(w.at(r, c)));
      }
      scale = options.grid().roundScale((float) (2 * scale / 3));
      best += optimum(row(w, r), h, scale);
    }
    assertThat(solved.loss()).isCloseTo(best, within(1e-4 * best));
  }

  private static Matrix row(Matrix w, int r) {
    double[] values = new double[w.columns()];
    for (int c = 0; c < values.length; c++) {
      values[c] = w.at(r, c);
    }
    return Matrix.of(1, values.length, values);
  }

  /** The least loss over all 4^n choices of the codes −2 … 1. */
  private static double optimum(Matrix w, Matrix h, double scale) {
    double least = Double.POSITIVE_INFINITY;
    for (int code = 0; code < 1 << (2 * w.columns()); code++) {
      double[] q = new double[w.columns()];
      for (int c = 0; c < q.length; c++) {
        q[c] = scale * (((code >> (2 * c)) & 3) - 2);
      }
      least = Math.min(least, loss(w, Matrix.of(1, q.length, q), h));
    }
    return least;
  }

  /** No refit and no sweep raises the loss; each does something. */
  @Test
  void refinementNeverRaisesTheLoss() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activations(TOKENS, COLUMNS);
    for (Scheme scheme : Scheme.values()) {
      for (int bits : new int[] {2, 3, 4, 8}) {
        GptqOptions plain = options(scheme, bits, GridSearch.MIN_MAX, 16);
        double loss = solve(w, x, plain).loss();
        double refit = solve(w, x, plain.withRefinement(new Refinement(1, 1, 0, false))).loss();
        double again = solve(w, x, plain.withRefinement(new Refinement(1, 3, 0, false))).loss();
        double swept = solve(w, x, plain.withRefinement(new Refinement(1, 0, 1, false))).loss();
        double both = solve(w, x, plain.withRefinement(new Refinement(1, 3, 4, false))).loss();
        String what = scheme + " at " + bits + " bits";
        double rounding = 1 + 1e-5;
        assertThat(refit).as(what + ", refitted").isLessThan(loss);
        assertThat(again).as(what + ", refitted again").isLessThan(refit * rounding);
        assertThat(swept).as(what + ", swept").isLessThan(loss * rounding);
        assertThat(both).as(what + ", both").isLessThan(again * rounding);
      }
    }
  }

  /**
   * With one group a row the loop search tries the whole solve: nothing on its ladder is better,
   * and little on the finer ones.
   */
  @Test
  void loopSearchBeatsTheOthersOnWholeRows() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activations(TOKENS, COLUMNS);
    for (int bits : new int[] {2, 3, 4}) {
      double loop =
          solve(w, x, options(Scheme.ASYMMETRIC, bits, GridSearch.LOOP, GptqOptions.PER_ROW))
              .loss();
      for (GridSearch search : GridSearch.values()) {
        double other =
            solve(w, x, options(Scheme.ASYMMETRIC, bits, search, GptqOptions.PER_ROW)).loss();
        boolean sameLadder = search == GridSearch.MIN_MAX || search == GridSearch.GROUP_CLIP;
        assertThat(loop)
            .as("loop against " + search)
            .isLessThanOrEqualTo(other * (sameLadder ? 1.0001 : 1.02));
      }
    }
  }

  /** Nothing has moved, or nothing of it is wanted: the weights themselves, bit for bit. */
  @Test
  void targetWithoutDriftIsTheWeight() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activations(TOKENS, COLUMNS);
    Matrix other = activations(TOKENS, COLUMNS);
    assertThat(target(w, x, x, Optional.empty(), 1).values()).isEqualTo(w.values());
    assertThat(target(w, other, x, Optional.empty(), 0).values()).isEqualTo(w.values());
    assertThat(target(w, other, x, Optional.empty(), 1).values()).isNotEqualTo(w.values());
  }

  /** With α = 1 and little damping: the least-squares weights, from the normal equations. */
  @Test
  void targetSolvesTheLeastSquaresProblem() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix quantized = activations(TOKENS, COLUMNS);
    Matrix full = activations(TOKENS, COLUMNS);
    for (int i = 0; i < full.values().length; i++) {
      full.values()[i] = (float) (quantized.values()[i] + 0.1 * full.values()[i]);
    }
    Matrix gap = inputs().normal(TOKENS, ROWS);
    for (Optional<Matrix> residual : List.of(Optional.<Matrix>empty(), Optional.of(gap))) {
      Matrix target = target(w, full, quantized, residual, 1);
      // At the optimum the remaining error is orthogonal to every input.
      Matrix wanted = multiply(full, w.transposed());
      if (residual.isPresent()) {
        for (int i = 0; i < wanted.values().length; i++) {
          wanted.values()[i] += gap.values()[i];
        }
      }
      Matrix error = Matrices.subtract(wanted, multiply(quantized, target.transposed()));
      Matrix correlation = multiply(error.transposed(), quantized);
      Matrix unmet = multiply(wanted.transposed(), quantized);
      double scale = 0;
      for (double v : unmet.values()) {
        scale = Math.max(scale, Math.abs(v));
      }
      for (double v : correlation.values()) {
        assertThat(v).isCloseTo(0, within(1e-3 * scale));
      }
    }
  }

  private Matrix target(
      Matrix w, Matrix full, Matrix quantized, Optional<Matrix> gap, double alpha) {
    GptqOptions options =
        options(Scheme.SYMMETRIC, 4, GridSearch.MIN_MAX, 12)
            .withOrder(ColumnOrder.GROUP_AWARE)
            .withDamping(1e-6);
    try (TensorScope scope = backend().newScope()) {
      Tensor x = upload(scope, quantized);
      Hessian hessian = new Hessian(backend(), scope, quantized.columns());
      hessian.add(x);
      HessianFactor factor = HessianFactor.of(backend(), hessian, options, scope);
      InputDrift drift =
          new InputDrift(backend(), scope, quantized.columns(), gap.map(Matrix::columns));
      drift.add(upload(scope, full), x);
      gap.ifPresent(g ->
          drift.addResidual(
              upload(scope, g),
              scope.zeros(DType.F32, g.rows(), g.columns(), Layout.ROW_MAJOR),
              x));
      return download(drift.target(upload(scope, w), factor, alpha, scope));
    }
  }
}
