package dev.gptq.grid;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Bytes;
import com.google.common.primitives.Floats;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Grids and codes of one row, worked out by hand. */
final class GridFormulasTest {
  private static final float[] ROW = {-1.2f, -0.33f, 0, 0.1f, 0.41f, 0.9f};

  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();

  @AfterEach
  void close() {
    backend.close();
  }

  private record Fit(float scale, float zero, List<Integer> codes, List<Float> values) {}

  private Fit fit(Scheme scheme, int bits, GridSearch search, float... row) {
    return fit(new GridSpec(scheme, bits, search, DType.F32), row);
  }

  private Fit fit(GridSpec spec, float... row) {
    Tensor w = scope.columnMajor(DType.F32, 1, row.length);
    backend.linalg().convert(scope.upload(row), w);
    Tensor scale = scope.columnMajor(DType.F32, 1, 1);
    Tensor zero = scope.columnMajor(DType.F32, 1, 1);
    backend.quantization().fitGrid(w, spec, scale, zero);
    Grid grid = new Grid(spec, scale, zero, scope.upload(new int[row.length]));
    Tensor codes = scope.columnMajor(DType.U8, 1, row.length);
    backend.quantization().quantizeNearest(w, grid, codes);
    backend.quantization().dequantize(codes, grid, w);
    byte[] bytes = new byte[row.length];
    codes.copyTo(MemorySegment.ofArray(bytes));
    return new Fit(
        HostCopies.floats(scale)[0],
        HostCopies.floats(zero)[0],
        Bytes.asList(bytes).stream().map(Byte::toUnsignedInt).toList(),
        Floats.asList(HostCopies.floats(w)));
  }

  private Fit fit(Scheme scheme) {
    return fit(scheme, 4, GridSearch.MIN_MAX, ROW);
  }

  @Test
  void asymmetric() {
    Fit fit = fit(Scheme.ASYMMETRIC);
    assertThat(fit.scale()).isCloseTo(0.14f, within(1e-7f));
    assertThat(fit.zero()).isEqualTo(9);
    assertThat(fit.codes()).containsExactly(0, 7, 9, 10, 12, 15);
  }

  /** −A lies on the tie −7.5, which rounds to the even −8. */
  @Test
  void symmetric() {
    Fit fit = fit(Scheme.SYMMETRIC);
    assertThat(fit.scale()).isCloseTo(0.16f, within(1e-7f));
    assertThat(fit.zero()).isEqualTo(8);
    assertThat(fit.codes()).containsExactly(0, 6, 8, 9, 11, 14);
  }

  @Test
  void symmetricRestricted() {
    Fit fit = fit(Scheme.SYMMETRIC_RESTRICTED);
    assertThat(fit.scale()).isCloseTo(0.17142858f, within(1e-7f));
    assertThat(fit.zero()).isEqualTo(8);
    assertThat(fit.codes()).containsExactly(1, 6, 8, 9, 10, 13);
  }

  @Test
  void halfOffset() {
    Fit fit = fit(Scheme.HALF_OFFSET);
    assertThat(fit.scale()).isCloseTo(0.16f, within(1e-7f));
    assertThat(fit.zero()).isEqualTo(7.5f);
    assertThat(fit.codes()).containsExactly(0, 5, 8, 8, 10, 13);
    assertThat(fit.values().get(2)).isCloseTo(0.08f, within(1e-7f));
  }

  @Test
  void rowOfZeros() {
    for (Scheme scheme : Scheme.values()) {
      Fit fit = fit(scheme, 4, GridSearch.MIN_MAX, 0, -0f, 0);
      assertThat(fit.scale()).isEqualTo(2f / scheme.levels(4));
      float nearest = scheme.isMidRise() ? fit.scale() / 2 : 0;
      assertThat(fit.values()).containsExactly(nearest, nearest, nearest);
    }
  }

  /** The range always includes zero, so a row of one sign starts or ends there. */
  @Test
  void rowsOfOneSign() {
    Fit positive = fit(Scheme.ASYMMETRIC, 2, GridSearch.MIN_MAX, 1, 2, 3);
    assertThat(positive.scale()).isEqualTo(1);
    assertThat(positive.zero()).isZero();
    assertThat(positive.codes()).containsExactly(1, 2, 3);
    Fit negative = fit(Scheme.ASYMMETRIC, 2, GridSearch.MIN_MAX, -1, -2, -3);
    assertThat(negative.zero()).isEqualTo(3);
    assertThat(negative.codes()).containsExactly(2, 1, 0);
  }

  /** Stored less one, zero points begin at 1, and the range reaches to the largest weight. */
  @Test
  void zeroPointsFromOneOn() {
    GridSpec spec =
        new GridSpec(Scheme.ASYMMETRIC, 2, GridSearch.MIN_MAX, DType.F32).withLeastZero(1);
    Fit positive = fit(spec, 1, 2, 4);
    assertThat(positive.scale()).isEqualTo(2);
    assertThat(positive.zero()).isEqualTo(1);
    assertThat(positive.codes()).containsExactly(1, 2, 3);
    Fit both = fit(spec, -1, 2);
    assertThat(both.scale()).isEqualTo(1);
    assertThat(both.zero()).isEqualTo(1);
    assertThat(both.codes()).containsExactly(0, 3);
    Fit negative = fit(spec, -1, -2, -3);
    assertThat(negative.zero()).isEqualTo(3);
    assertThat(negative.codes()).containsExactly(2, 1, 0);
  }

  /** With one outlier among many small weights, the search gives up the outlier. */
  @Test
  void searchClipsAnOutlier() {
    float[] row = new float[256];
    for (int i = 0; i < row.length; i++) {
      row[i] = (float) Math.sin(i) * 0.5f;
    }
    row[100] = 1;
    Fit wide = fit(Scheme.SYMMETRIC, 2, GridSearch.MIN_MAX, row);
    Fit searched = fit(Scheme.SYMMETRIC, 2, GridSearch.MSE, row);
    assertThat(searched.scale()).isLessThan(wide.scale());
    assertThat(error(row, searched.values())).isLessThan(error(row, wide.values()));
  }

  /** No candidate beats the exhaustive search over the same 80, done here in float64. */
  @Test
  void searchFindsTheBestCandidate() {
    float[] row = {-1.2f, -0.33f, 0, 0.1f, 0.41f, 0.9f, 0.05f, -0.2f, 0.31f};
    Fit searched = fit(Scheme.SYMMETRIC, 3, GridSearch.MSE, row);
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < 80; i++) {
      double scale = 2 * (1 - i / 100.0) * 1.2f / 7;
      double sum = 0;
      for (float w : row) {
        double q = scale * Math.clamp(Math.rint(w / scale), -4, 3);
        sum += Math.pow(Math.abs(q - w), 2.4);
      }
      least = Math.min(least, sum);
    }
    assertThat(error(row, searched.values())).isCloseTo(least, within(1e-4 * least));
  }

  private static double error(float[] row, List<Float> values) {
    double sum = 0;
    for (int i = 0; i < row.length; i++) {
      sum += Math.pow(Math.abs(row[i] - values.get(i)), 2.4);
    }
    return sum;
  }
}
