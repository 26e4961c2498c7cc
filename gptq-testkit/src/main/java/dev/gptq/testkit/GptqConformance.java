package dev.gptq.testkit;

import static dev.gptq.testkit.Matrices.multiply;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.PaperGptq;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/**
 * Properties that GPTQ has on any data, and worked examples. What a small grid cannot express is
 * fed to the column loop directly.
 */
public abstract class GptqConformance extends CoupledRowsConformance {
  private static final int ROWS = 13;
  private static final int COLUMNS = 48;
  private static final int TOKENS = 80;

  /** For subclasses. */
  protected GptqConformance() {}

  /** Inputs of unequal power, so that orders differ from the natural one; one channel is dead. */
  private Matrix activationsOf(int tokens, int columns) {
    Matrix x = inputs().normal(tokens, columns);
    for (int t = 0; t < tokens; t++) {
      for (int c = 0; c < columns; c++) {
        double shared = x.at(t, 0) * 0.5;
        double power = c == 5 ? 0 : 1 + (c * 7 % 11) / 4.0;
        x.values()[t * columns + c] = (float) (power * (x.at(t, c) + shared));
      }
    }
    return x;
  }

  private Hessian hessian(Matrix x, TensorScope scope) {
    Hessian hessian = new Hessian(backend(), scope, x.columns());
    hessian.add(upload(scope, x).rows(0, x.rows() / 3));
    hessian.add(upload(scope, x).rows(x.rows() / 3, x.rows()));
    return hessian;
  }

  private record Quantized(Matrix codes, Matrix values, double loss, Matrix groupOf) {}

  private Quantized quantize(Matrix w, Hessian hessian, GptqOptions options) {
    try (TensorScope scope = backend().newScope()) {
      HessianFactor factor = HessianFactor.of(backend(), hessian, options, scope);
      Gptq.Result result = new Gptq(backend(), options).quantize(upload(scope, w), factor, scope);
      Tensor values = scope.columnMajor(DType.F32, w.rows(), w.columns());
      result.matrix().dequantize(backend(), values);
      return new Quantized(
          download(result.matrix().codes()),
          download(values),
          result.loss(),
          download(result.matrix().grid().groupOf()));
    }
  }

  private interface OptionTest {
    void accept(GptqOptions options);
  }

  private static void forEachOptions(OptionTest test) {
    for (Scheme scheme : Scheme.values()) {
      for (int group : new int[] {GptqOptions.PER_ROW, 16, 8}) {
        for (ColumnOrder order : ColumnOrder.values()) {
          for (boolean fixed : new boolean[] {false, true}) {
            test.accept(
                GptqOptions.of(GridSpec.of(scheme, 3), group)
                    .withOrder(order)
                    .withStaticGroups(fixed));
          }
        }
      }
    }
  }

  /** {@code loss = ½·tr(D(H + λI)Dᵀ)} for any grid, order and clipping; dead columns are zero. */
  @Test
  void lossIsTheDampedError() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activationsOf(TOKENS, COLUMNS);
    try (TensorScope scope = backend().newScope()) {
      Hessian hessian = hessian(x, scope);
      Matrix h = multiply(x.transposed(), x);
      double mean = (Matrices.trace(h) + 1) / COLUMNS;
      h.values()[5 * COLUMNS + 5] = 1;
      for (int j = 0; j < COLUMNS; j++) {
        h.values()[j * COLUMNS + j] += GptqOptions.DEFAULT_DAMPING * mean;
      }
      forEachOptions(options -> {
        Quantized q = quantize(w, hessian, options);
        Matrix d = Matrices.subtract(w, q.values());
        for (int r = 0; r < ROWS; r++) {
          d.values()[r * COLUMNS + 5] = -q.values().at(r, 5);
        }
        double expected = 0.5 * Matrices.trace(multiply(multiply(d, h), d.transposed()));
        assertThat(q.loss()).as(options.toString()).isCloseTo(expected, within(1e-4 * expected));
      });
    }
  }

  /**
   * Whatever the blocks, codes and grids are those of algorithm 1 of the paper, which has an
   * inverse and no blocks. Grids are fitted to the weights that it sees when a group begins; a
   * weight near the middle of two codes may go to either.
   */
  @Test
  void agreesWithThePaper() {
    int columns = 64;
    Matrix w = inputs().normal(ROWS, columns);
    Matrix h = inputs().gram(columns, 0.1);
    Matrix damped = Matrix.of(columns, columns, h.values());
    for (int j = 0; j < columns; j++) {
      damped.values()[j * columns + j] += GptqOptions.DEFAULT_DAMPING * Matrices.trace(h) / columns;
    }
    double[][] u = PaperGptq.factor(Matrices.inverse(damped));
    for (int group : new int[] {GptqOptions.PER_ROW, 32, 16, 8}) {
      for (int block : new int[] {64, 16, 5}) {
        GptqOptions options =
            GptqOptions.of(new GridSpec(Scheme.SYMMETRIC, 3, GridSearch.MIN_MAX, DType.F32), group)
                .withBlockSize(block);
        try (TensorScope scope = backend().newScope()) {
          Hessian hessian = new Hessian(backend(), scope, columns);
          backend().linalg().convert(upload(scope, h), hessian.matrix());
          assertAgreement(w, u, options, quantize(w, hessian, options));
        }
      }
    }
  }

  private static void assertAgreement(Matrix w, double[][] u, GptqOptions options, Quantized q) {
    int n = w.columns();
    int group = options.groupColumns(n);
    GridSpec spec = options.grid();
    double total = 0;
    for (int r = 0; r < w.rows(); r++) {
      int row = r;
      double[] scale = new double[1];
      PaperGptq.Row paper =
          PaperGptq.quantize(
              Arrays.copyOfRange(w.values(), r * n, (r + 1) * n),
              u,
              (column, current) -> {
                if (column % group == 0) {
                  scale[0] =
                      2
                          * Arrays.stream(current, column, column + group)
                              .map(Math::abs)
                              .max()
                              .orElseThrow()
                          / spec.scheme().levels(spec.bits());
                }
                double t = current[column] / scale[0];
                double code = Math.clamp(Math.rint(t), -4, 3);
                // Near a tie the backend's choice is as good, and what follows depends on it.
                double other = q.values().at(row, column) / scale[0];
                boolean tie = Math.abs(t - (code + other) / 2) < 1e-4;
                return scale[0] * (tie ? Math.rint(other) : code);
              });
      for (int c = 0; c < n; c++) {
        assertThat(q.values().at(r, c))
            .as("%s: row %s, column %s", options, r, c)
            .isCloseTo(paper.values().get(c), within(1e-5));
      }
      total += paper.loss();
    }
    assertThat(q.loss()).as(options.toString()).isCloseTo(total, within(1e-4 * total));
  }

  /** Lazy updates change the order of roundings only: the loss and nearly all codes stay. */
  @Test
  void blockSizeDoesNotMatter() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    try (TensorScope scope = backend().newScope()) {
      Hessian hessian = hessian(activationsOf(TOKENS, COLUMNS), scope);
      int[] blocks = {1, 4, 5, 8, 32};
      AtomicInteger turn = new AtomicInteger();
      forEachOptions(options -> {
        Quantized whole = quantize(w, hessian, options.withBlockSize(COLUMNS));
        // Two sizes for each set of options, in turn.
        for (int i = 0; i < 2; i++) {
          int block = blocks[turn.getAndIncrement() % blocks.length];
          Quantized q = quantize(w, hessian, options.withBlockSize(block));
          String what = options + " in blocks of " + block;
          assertThat(q.loss()).as(what).isCloseTo(whole.loss(), within(0.02 * whole.loss()));
          long same = Matrices.countEqual(q.codes(), whole.codes());
          assertThat(same).as(what).isGreaterThanOrEqualTo((ROWS - 1) * COLUMNS);
        }
      });
    }
  }

  /** Column by column in one order, the groups of another: where each column's scale comes from. */
  @Test
  void groupsFollowTheOrder() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    try (TensorScope scope = backend().newScope()) {
      Hessian hessian = hessian(activationsOf(TOKENS, COLUMNS), scope);
      forEachOptions(options -> {
        Quantized q = quantize(w, hessian, options);
        int size = options.groupColumns(COLUMNS);
        boolean regular = options.staticGroups() || options.order() != ColumnOrder.ACTIVATION;
        int[] members = new int[COLUMNS / size];
        for (int c = 0; c < COLUMNS; c++) {
          int g = (int) q.groupOf().at(0, c);
          members[g]++;
          if (regular) {
            assertThat(g).as(options.toString()).isEqualTo(c / size);
          }
        }
        assertThat(members).as(options.toString()).containsOnly(size);
      });
    }
  }

  /** GPTQ is for this: its error is well under that of rounding to nearest. */
  @Test
  void lossIsUnderThatOfRoundingToNearest() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix x = activationsOf(TOKENS, COLUMNS);
    Matrix h = multiply(x.transposed(), x);
    GptqOptions options = GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), GptqOptions.PER_ROW);
    try (TensorScope scope = backend().newScope()) {
      Matrix gptq = Matrices.subtract(w, quantize(w, hessian(x, scope), options).values());
      Tensor nearest = scope.columnMajor(DType.F32, ROWS, COLUMNS);
      new RoundToNearest(backend(), options.grid(), options.groupSize())
          .quantize(upload(scope, w), scope)
          .dequantize(backend(), nearest);
      Matrix rtn = Matrices.subtract(w, download(nearest));
      double gptqError = Matrices.trace(multiply(multiply(gptq, h), gptq.transposed()));
      double rtnError = Matrices.trace(multiply(multiply(rtn, h), rtn.transposed()));
      assertThat(gptqError).isLessThan(0.8 * rtnError);
    }
  }

  /** U of the paper, from V. */
  private Tensor upper(Matrix h, TensorScope scope) {
    Tensor factor = upload(scope, h);
    Tensor u = scope.rowMajor(DType.F32, h.rows(), h.rows());
    backend().linalg().cholesky(factor);
    backend().linalg().invertDiagonalBlocks(factor.transposed(), u);
    return u;
  }

  /** The column loop on given grids, all of one scale and zero point. */
  private Quantized loop(Matrix w, Matrix h, GridSpec spec, double scale, double zero) {
    int n = w.columns();
    try (TensorScope scope = backend().newScope()) {
      Tensor u = upper(h, scope);
      Tensor latent = upload(scope, w.as(Layout.COLUMN_MAJOR));
      Grid grid =
          new Grid(
              spec,
              upload(scope, Matrix.filled(DType.F32, Layout.COLUMN_MAJOR, w.rows(), 1, scale)),
              upload(scope, Matrix.filled(DType.F32, Layout.COLUMN_MAJOR, w.rows(), 1, zero)),
              scope.upload(new int[n]));
      Tensor codes = scope.columnMajor(DType.U8, w.rows(), n);
      backend().quantization().quantizeBlock(latent, u, grid, codes);
      Tensor loss = scope.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      backend().linalg().addSumOfSquares(latent, loss);
      backend().quantization().dequantize(codes, grid, latent);
      return new Quantized(
          download(codes), download(latent), 0.5 * HostCopies.scalar(loss), Matrix.row(0));
    }
  }

  private static Matrix gram(Matrix inputs, double factor) {
    Matrix h = multiply(inputs, inputs.transposed());
    return Matrix.of(
        h.rows(), h.columns(), Arrays.stream(h.values()).map(v -> factor * v).toArray());
  }

  /**
   * Two weights a row and the grid {−1, +1}: a mid-rise grid of scale 2 whose lowest codes they
   * are. Losses by hand in exact fractions.
   */
  @Test
  void workedExampleOfTwoColumns() {
    Matrix w = Matrix.of(2, 2, 0.8, -0.5, 0.3, 0.7);
    Matrix h = gram(Matrix.of(2, 3, 0.2, -0.1, 0.4, 0.5, 0.3, -0.2), 2);
    GridSpec spec = GridSpec.of(Scheme.HALF_OFFSET, 2);
    Quantized plain = loop(w, h, spec, 2, 0.5);
    assertThat(plain.values().values()).containsExactly(1, -1, 1, 1);
    assertThat(plain.loss()).isCloseTo(0.2383, within(1e-6));
    double lambda = 0.01 * Matrices.trace(h) / 2;
    assertThat(lambda).isCloseTo(0.0059, within(1e-9));
    h.values()[0] += lambda;
    h.values()[3] += lambda;
    Quantized damped = loop(w, h, spec, 2, 0.5);
    assertThat(damped.values().values()).containsExactly(1, -1, 1, 1);
    assertThat(damped.loss()).isCloseTo(0.2408665, within(1e-6));
  }

  /** The factors of the example, to nine digits. */
  @Test
  void factorOfTheWorkedExample() {
    Matrix h = gram(Matrix.of(2, 3, 0.2, -0.1, 0.4, 0.5, 0.3, -0.2), 2);
    try (TensorScope scope = backend().newScope()) {
      assertThat(download(upper(h, scope)).values())
          .containsExactly(new double[] {1.544001222, 0.040631611, 0, 1.147078669}, within(1e-6));
    }
  }

  private static final Matrix THREE_INPUTS =
      Matrix.of(3, 4, -1, 0, 1, -1, -2, -2, 1, -2, 0, -2, 1, 0);

  private static Matrix permuted(Matrix m, int[] rows, int[] columns) {
    double[] values = new double[m.values().length];
    for (int r = 0; r < m.rows(); r++) {
      for (int c = 0; c < m.columns(); c++) {
        values[r * m.columns() + c] = m.at(rows[r], columns[c]);
      }
    }
    return Matrix.of(m.rows(), m.columns(), values);
  }

  /** Three weights and the grid {−2 … 1}: natural and other orders part, as a search shows. */
  @Test
  void workedExampleOfThreeColumns() {
    Matrix w = Matrix.of(1, 3, -1.4, -0.1, 0.6);
    Matrix h = gram(THREE_INPUTS, 2);
    assertThat(h.values()).containsExactly(6, 10, 2, 10, 26, 10, 2, 10, 10);
    int[][] orders = {{0, 1, 2}, {0, 2, 1}, {2, 0, 1}, {1, 2, 0}, {1, 0, 2}, {2, 1, 0}};
    double[][] expected = {{-1, 0, 0}, {-1, 0, 1}, {-1, 0, 1}, {-2, 0, 1}, {-2, 0, 1}, {-2, 0, 1}};
    double[] losses = {1.73, 2.53, 2.53, 1.33, 1.33, 1.33};
    for (int i = 0; i < orders.length; i++) {
      int[] order = orders[i];
      Quantized q =
          loop(
              permuted(w, new int[1], order),
              permuted(h, order, order),
              GridSpec.of(Scheme.SYMMETRIC, 2),
              1,
              2);
      double[] stored = new double[3];
      for (int p = 0; p < 3; p++) {
        stored[order[p]] = q.values().at(0, p);
      }
      assertThat(stored).as(Arrays.toString(order)).containsExactly(expected[i]);
      assertThat(q.loss()).as(Arrays.toString(order)).isCloseTo(losses[i], within(1e-5));
    }
  }

  /** {@code U[j][j]⁻²} are the pivots of {@code H = (M + I)·diag(d)·(M + I)ᵀ}, M strictly upper. */
  @Test
  void diagonalOfTheFactorHoldsThePivots() {
    for (int n : new int[] {1, 2, 7, 33}) {
      Matrix h = inputs().gram(n, 0.1);
      Matrices.UpperFactors factors = Matrices.upperFactors(h);
      try (TensorScope scope = backend().newScope()) {
        Matrix actual = download(upper(h, scope));
        for (int j = 0; j < n; j++) {
          double pivot = factors.pivots().get(j);
          assertThat(Math.pow(actual.at(j, j), -2)).isCloseTo(pivot, within(1e-4 * pivot));
        }
      }
    }
  }

  /**
   * GPTQ is LDLQ, and Babai's nearest plane in the reversed order: {@code q_k = quant(w_k + (w −
   * q)_{<k}·M_{<k,k})}. Weights lie away from ties, so that float32 finds the same codes.
   */
  @Test
  void columnLoopIsBabai() {
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 3);
    for (int n : new int[] {1, 2, 9, 24}) {
      Matrix w = inputs().normal(5, n);
      Matrix h = inputs().gram(n, 0.1);
      Matrix m = Matrices.upperFactors(h).upper();
      Quantized q = loop(w, h, spec, 0.5, 4);
      for (int r = 0; r < w.rows(); r++) {
        double[] values = new double[n];
        for (int k = 0; k < n; k++) {
          double target = w.at(r, k);
          for (int j = 0; j < k; j++) {
            target += (w.at(r, j) - values[j]) * m.at(j, k);
          }
          double t = target / 0.5;
          double code = Math.clamp(Math.rint(t), -4, 3);
          boolean tie = Math.abs(Math.abs(t - Math.rint(t)) - 0.5) < 1e-4;
          values[k] = tie ? q.values().at(r, k) : 0.5 * code;
          assertThat(q.values().at(r, k)).as("row %s, column %s", r, k).isEqualTo(values[k]);
        }
      }
    }
  }

  /** Without clipping every error is at most half a step: {@code loss ≤ Σ s²/8 · Σ U[j][j]⁻²}. */
  @Test
  void lossWithoutClippingIsBounded() {
    double scale = 0.05;
    for (int n : new int[] {8, 33}) {
      Matrix w = inputs().normal(ROWS, n);
      Matrix h = inputs().gram(n, 0.1);
      Quantized q = loop(w, h, GridSpec.of(Scheme.SYMMETRIC, 8), scale, 128);
      assertThat(q.codes().values()).doesNotContain(0.0).doesNotContain(255.0);
      double pivots = 0;
      for (double pivot : Matrices.upperFactors(h).pivots().toArray()) {
        pivots += pivot;
      }
      double bound = ROWS * scale * scale / 8 * pivots;
      assertThat(q.loss()).isLessThan(bound).isGreaterThan(0.1 * bound);
    }
  }

  /** After each step the free weights are optimal: {@code ((w' − w)·H)} is zero there. */
  @Test
  void freeWeightsAreOptimalAfterEachStep() {
    int n = 20;
    Matrix w = inputs().normal(3, n);
    Matrix h = inputs().gram(n, 0.1);
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 2);
    try (TensorScope scope = backend().newScope()) {
      Tensor u = upper(h, scope);
      for (int step = 1; step < n; step++) {
        Tensor latent = upload(scope, w.as(Layout.COLUMN_MAJOR));
        Tensor done = latent.columns(0, step);
        Tensor scale = upload(scope, Matrix.filled(DType.F32, Layout.COLUMN_MAJOR, 3, 1, 1));
        Tensor zero = upload(scope, Matrix.filled(DType.F32, Layout.COLUMN_MAJOR, 3, 1, 2));
        Grid grid = new Grid(spec, scale, zero, scope.upload(new int[step]));
        Tensor codes = scope.columnMajor(DType.U8, 3, step);
        backend().quantization().quantizeBlock(done, u.rows(0, step).columns(0, step), grid, codes);
        backend()
            .linalg()
            .gemm(-1, done, u.rows(0, step).columns(step, n), 1, latent.columns(step, n));
        backend().quantization().dequantize(codes, grid, done);
        Matrix gradient = multiply(Matrices.subtract(download(latent), w), h);
        for (int r = 0; r < 3; r++) {
          for (int k = step; k < n; k++) {
            assertThat(gradient.at(r, k)).as("step %s", step).isCloseTo(0, within(1e-4));
          }
        }
      }
    }
  }
}
