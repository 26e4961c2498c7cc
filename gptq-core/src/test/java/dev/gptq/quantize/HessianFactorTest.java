package dev.gptq.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** {@link Hessian} and {@link HessianFactor}. */
final class HessianFactorTest {
  private static final GptqOptions OPTIONS =
      GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4), GptqOptions.PER_ROW);

  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();

  @AfterEach
  void close() {
    backend.close();
  }

  private Tensor matrix(int rows, int columns, float... values) {
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  private Hessian hessian(int columns, float... inputs) {
    Hessian hessian = new Hessian(backend, scope, columns);
    hessian.add(matrix(inputs.length / columns, columns, inputs));
    return hessian;
  }

  @Test
  void tokensAddUp() {
    Hessian hessian = hessian(2, 1, 2, 3, 4);
    assertThat(HostCopies.floats(hessian.matrix())).containsExactly(10, 14, 14, 20);
    assertThat(hessian.diagonal()).containsExactly(10, 20);
    hessian.add(matrix(1, 2, -1, 1));
    assertThat(HostCopies.floats(hessian.matrix())).containsExactly(11, 13, 13, 21);
    assertThat(hessian.diagonal()).containsExactly(11, 21);
    hessian.add(Hessian.of(backend, matrix(2, 2, 1, 0, 0, 1), 0), false);
    assertThat(hessian.diagonal()).containsExactly(12, 22);
    hessian.add(Hessian.of(backend, matrix(2, 2, -1, 0, 0, -1), 0), false);
    assertThat(hessian.tokens()).isEqualTo(3);
    // One output that sums the inputs: 3, 7 and 0.
    assertThat(hessian.meanSquaredOutput(matrix(1, 2, 1, 1)))
        .isCloseTo((9 + 49) / 3.0, within(1e-9));
  }

  @Test
  void meanNeedsTokens() {
    Hessian empty = new Hessian(backend, scope, 2);
    assertThatThrownBy(() -> empty.meanSquaredOutput(matrix(1, 2, 1, 1)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("no calibration tokens");
  }

  /** A diagonal H: V is {@code √(h + λ)}, in the order of descending h; dead ones count as 1. */
  @Test
  void ordersRepairsAndDamps() {
    Hessian hessian = hessian(3, 2, 0, 0, 0, 0, 3);
    GptqOptions options = OPTIONS.withOrder(ColumnOrder.ACTIVATION).withDamping(0.1);
    HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
    assertThat(factor.order()).containsExactly(2, 0, 1);
    assertThat(factor.positions()).containsExactly(1, 2, 0);
    assertThat(factor.dead()).containsExactly(1);
    assertThat(factor.damping()).isEqualTo(0.1);
    double lambda = 0.1 * (4 + 1 + 9) / 3;
    float[] v = HostCopies.floats(factor.v());
    assertThat(v[0]).isCloseTo((float) Math.sqrt(9 + lambda), within(1e-6f));
    assertThat(v[4]).isCloseTo((float) Math.sqrt(4 + lambda), within(1e-6f));
    assertThat(v[8]).isCloseTo((float) Math.sqrt(1 + lambda), within(1e-6f));
    assertThat(HostCopies.floats(hessian.matrix())).containsExactly(4, 0, 0, 0, 0, 0, 0, 0, 9);
  }

  /** One token makes a matrix of rank one: no damping, no factor. */
  @Test
  void dampingGrowsUntilTheFactorExists() {
    Hessian hessian = hessian(3, 1, 2, 3);
    HessianFactor factor = HessianFactor.of(backend, hessian, OPTIONS.withDamping(0), scope);
    assertThat(factor.damping()).isGreaterThanOrEqualTo(GptqOptions.DEFAULT_DAMPING);
    double lambda = factor.damping() * 14 / 3;
    // V has contiguous columns: its transposed, row by row.
    float[] lower = HostCopies.floats(factor.v());
    double[][] h = {{1 + lambda, 2, 3}, {2, 4 + lambda, 6}, {3, 6, 9 + lambda}};
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = 0;
        for (int k = i; k < 3; k++) {
          sum += (double) lower[k * 3 + i] * lower[k * 3 + j];
        }
        assertThat(sum).isCloseTo(h[i][j], within(1e-5));
      }
    }
  }

  @Test
  void indefiniteMatrixIsAnError() {
    Hessian hessian = new Hessian(backend, scope, 2);
    backend.linalg().convert(matrix(2, 2, 1, -50, -50, 1), hessian.matrix());
    assertThatThrownBy(() -> HessianFactor.of(backend, hessian, OPTIONS, scope))
        .isInstanceOf(CalibrationException.class)
        .hasMessageContaining("use more or more varied calibration text");
  }

  @Test
  void overflowIsAnError() {
    for (float bad : new float[] {Float.NaN, 1e30f}) {
      Hessian hessian = hessian(2, 1, bad);
      assertThatThrownBy(() -> HessianFactor.of(backend, hessian, OPTIONS, scope))
          .isInstanceOf(CalibrationException.class)
          .hasMessageContaining("NaN or infinite");
    }
  }
}
