package dev.gptq.testkit;

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
import dev.gptq.quantize.PaperGptq;
import dev.gptq.quantize.Refinement;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What {@link GptqConformance} asks of rows that the loss of the whole model couples. */
abstract class CoupledRowsConformance extends Conformance {
  private static final int ROWS = 13;
  private static final int COLUMNS = 48;

  static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }

  static Matrix download(Tensor t) {
    byte[] bytes = new byte[Math.toIntExact(t.byteSize())];
    t.copyTo(MemorySegment.ofArray(bytes));
    return Matrix.filled(t.type(), t.layout(), t.rows(), t.columns(), 0).decode(bytes);
  }

  /**
   * Coupled rows by their definition: in each column the rows one after the other, each error fed
   * forward with the factor of the inverse, then the column's error to the columns to come. Up to
   * eight rows are blocks of their own.
   */
  @Test
  void coupledRowsAreRoundedOneAfterTheOther() {
    for (int[] s : new int[][] {{3, 4}, {8, 24}}) {
      int m = s[0];
      int n = s[1];
      Matrix w = inputs().normal(m, n);
      Matrix h = inputs().gram(n, 0.1);
      Matrix g = inputs().gram(m, 0.1);
      GptqOptions options =
          GptqOptions.of(
              new GridSpec(Scheme.SYMMETRIC, 3, GridSearch.MIN_MAX, DType.F32),
              GptqOptions.PER_ROW);
      GptqOptions outputs = options.withOrder(ColumnOrder.ACTIVATION).withDamping(0.1);
      try (TensorScope scope = backend().newScope()) {
        HessianFactor columns = factorOf(h, options, scope);
        HessianFactor rows = factorOf(g, outputs, scope);
        Gptq.Result result =
            new Gptq(backend(), options).quantize(upload(scope, w), columns, List.of(rows), scope);
        Tensor values = scope.columnMajor(DType.F32, m, n);
        result.matrix().dequantize(backend(), values);
        Matrix q = download(values);
        Matrix scale = download(result.matrix().grid().scale());
        double[][] u = PaperGptq.factor(Matrices.inverse(damped(h, GptqOptions.DEFAULT_DAMPING)));
        int[] order = rows.order().stream().mapToInt(Integer::intValue).toArray();
        Matrix ordered = Matrix.of(m, m, new double[m * m]);
        Matrix dampedRows = damped(g, 0.1);
        for (int i = 0; i < m; i++) {
          for (int j = 0; j < m; j++) {
            ordered.values()[i * m + j] = dampedRows.at(order[i], order[j]);
          }
        }
        double[][] uo = PaperGptq.factor(Matrices.inverse(ordered));
        double[][] current = new double[m][n];
        for (int r = 0; r < m; r++) {
          for (int c = 0; c < n; c++) {
            current[r][c] = w.at(order[r], c);
          }
        }
        for (int j = 0; j < n; j++) {
          double[] shifted = new double[m];
          for (int r = 0; r < m; r++) {
            shifted[r] = current[r][j];
          }
          for (int r = 0; r < m; r++) {
            double unit = scale.at(order[r], 0);
            double t = shifted[r] / unit;
            double chosen = q.at(order[r], j);
            double code = Math.clamp(Math.rint(t), -4, 3);
            boolean tie = Math.abs(t - (code + chosen / unit) / 2) < 1e-4;
            assertThat(tie ? unit * code : chosen)
                .as("%s x %s: row %s, column %s", m, n, order[r], j)
                .isCloseTo(unit * code, within(1e-5));
            double error = (shifted[r] - chosen) / uo[r][r];
            for (int k = r + 1; k < m; k++) {
              shifted[k] -= error * uo[r][k];
            }
            for (int k = j + 1; k < n; k++) {
              current[r][k] -= (current[r][j] - chosen) / u[j][j] * u[j][k];
            }
          }
        }
      }
    }
  }

  /**
   * Grids of coupled rows are fitted in the loop: each group's to the weights as they are when it
   * is reached, with what the rows before left to make up for, and the columns before.
   */
  @Test
  void gridsAreFittedToWhatRowsBeforeLeft() {
    int m = 8;
    int n = 24;
    int size = 8;
    Matrix w = inputs().normal(m, n);
    Matrix h = inputs().gram(n, 0.1);
    Matrix g = inputs().gram(m, 0.1);
    GptqOptions options =
        GptqOptions.of(new GridSpec(Scheme.SYMMETRIC, 3, GridSearch.MIN_MAX, DType.F32), size);
    try (TensorScope scope = backend().newScope()) {
      HessianFactor columns = factorOf(h, options, scope);
      HessianFactor rows = factorOf(g, options.withGroupSize(m).withDamping(0.1), scope);
      Gptq.Result result =
          new Gptq(backend(), options).quantize(upload(scope, w), columns, List.of(rows), scope);
      Tensor values = scope.columnMajor(DType.F32, m, n);
      result.matrix().dequantize(backend(), values);
      Matrix q = download(values);
      Matrix scale = download(result.matrix().grid().scale());
      double[][] u = PaperGptq.factor(Matrices.inverse(damped(h, GptqOptions.DEFAULT_DAMPING)));
      double[][] uo = PaperGptq.factor(Matrices.inverse(damped(g, 0.1)));
      double[] target = w.values().clone();
      for (int r = 0; r < m; r++) {
        for (int k = r + 1; k < m; k++) {
          for (int c = 0; c < n; c++) {
            target[k * n + c] -= (target[r * n + c] - q.at(r, c)) / uo[r][r] * uo[r][k];
          }
        }
        double[] current = Arrays.copyOfRange(target, r * n, (r + 1) * n);
        for (int c = 0; c < n; c++) {
          if (c % size == 0) {
            double most = Arrays.stream(current, c, c + size).map(Math::abs).max().orElseThrow();
            assertThat(scale.at(r, c / size))
                .as("row %s, group %s", r, c / size)
                .isCloseTo(2 * most / 7, within(1e-4));
          }
          for (int k = c + 1; k < n; k++) {
            current[k] -= (current[c] - q.at(r, c)) / u[c][c] * u[c][k];
          }
        }
      }
    }
  }

  /** Rows that are not coupled stay what they are, to the bit. */
  @Test
  void rowsOfAnIdentityAreQuantizedAsEver() {
    Matrix w = inputs().normal(ROWS, COLUMNS);
    Matrix h = inputs().gram(COLUMNS, 0.1);
    Matrix identity = Matrix.of(ROWS, ROWS, new double[ROWS * ROWS]);
    for (int r = 0; r < ROWS; r++) {
      identity.values()[r * ROWS + r] = 1;
    }
    GptqOptions options =
        GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 3), 16)
            .withOrder(ColumnOrder.GROUP_AWARE)
            .withRefinement(new Refinement(2, 1, 1, false));
    try (TensorScope scope = backend().newScope()) {
      HessianFactor columns = factorOf(h, options, scope);
      HessianFactor rows = factorOf(identity, options.withGroupSize(GptqOptions.PER_ROW), scope);
      Gptq gptq = new Gptq(backend(), options);
      Gptq.Result plain = gptq.quantize(upload(scope, w), columns, scope);
      Gptq.Result coupled = gptq.quantize(upload(scope, w), columns, List.of(rows), scope);
      assertThat(HostCopies.bytes(coupled.matrix().codes()))
          .isEqualTo(HostCopies.bytes(plain.matrix().codes()));
      assertThat(HostCopies.floats(coupled.matrix().grid().scale()))
          .isEqualTo(HostCopies.floats(plain.matrix().grid().scale()));
    }
  }

  /** Rows of different factors go side by side, of which none knows of the others. */
  @Test
  void factorsSideBySideFindWhatEachFindsAlone() {
    int[] sizes = {ROWS, 6, 9};
    GptqOptions options =
        GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 3), 16)
            .withOrder(ColumnOrder.GROUP_AWARE)
            .withRefinement(new Refinement(2, 1, 1, false));
    GptqOptions outputs =
        options
            .withGroupSize(GptqOptions.PER_ROW)
            .withOrder(ColumnOrder.ACTIVATION)
            .withDamping(0.1);
    Matrix w = inputs().normal(Arrays.stream(sizes).sum(), COLUMNS);
    Matrix h = inputs().gram(COLUMNS, 0.1);
    try (TensorScope scope = backend().newScope()) {
      HessianFactor columns = factorOf(h, options, scope);
      List<HessianFactor> factors =
          Arrays.stream(sizes)
              .mapToObj(size -> factorOf(inputs().gram(size, 0.1), outputs, scope))
              .toList();
      Gptq gptq = new Gptq(backend(), options);
      Tensor weight = upload(scope, w);
      Gptq.Result together = gptq.quantize(weight, columns, factors, scope);
      int from = 0;
      for (HessianFactor rows : factors) {
        int to = from + rows.order().size();
        Gptq.Result alone = gptq.quantize(weight.rows(from, to), columns, List.of(rows), scope);
        Matrix codes = download(together.matrix().codes());
        Matrix own = download(alone.matrix().codes());
        Matrix losses = download(together.damped());
        Matrix ownLosses = download(alone.damped());
        for (int r = 0; r < to - from; r++) {
          for (int c = 0; c < COLUMNS; c++) {
            assertThat(codes.at(from + r, c)).as("row %s of %s", r, from).isEqualTo(own.at(r, c));
          }
          assertThat(losses.at(from + r, 0))
              .isCloseTo(ownLosses.at(r, 0), within(1e-4 * ownLosses.at(r, 0)));
        }
        from = to;
      }
    }
  }

  private HessianFactor factorOf(Matrix h, GptqOptions options, TensorScope scope) {
    Hessian hessian = new Hessian(backend(), scope, h.columns());
    backend().linalg().convert(upload(scope, h), hessian.matrix());
    return HessianFactor.of(backend(), hessian, options, scope);
  }

  private static Matrix damped(Matrix h, double damping) {
    int n = h.columns();
    Matrix damped = Matrix.of(n, n, h.values());
    for (int j = 0; j < n; j++) {
      damped.values()[j * n + j] += damping * Matrices.trace(h) / n;
    }
    return damped;
  }
}
