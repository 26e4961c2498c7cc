package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.primitives.Shorts;
import dev.gptq.backend.BackendOptions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Products whose rows are rounded up, on the emulated device. */
final class MatrixProductsTest {
  private static final int ROWS = 9;
  private static final int ALL = 16;
  private static final int COLUMNS = 8;

  private static final short ONE = 0x3f80;
  private static final short NAN = 0x7fc0;

  private CudaContext context;
  private MatrixProducts products;

  @BeforeEach
  void open() {
    Assumptions.assumeTrue(HostKernels.library().isPresent(), "g++ was not found");
    EmulatedDriver driver = EmulatedDriver.of(HostKernels.library().orElseThrow());
    context = EmulatedProvider.context(driver, BackendOptions.defaults());
    products = new MatrixProducts(context);
  }

  /** Rows of ones with rows of NaN below, 16 × 8 in all. */
  private CudaTensor onesAndNaN(TensorScope scope) {
    short[] elements =
        Shorts.concat(
            Shorts.toArray(Collections.nCopies(ROWS * COLUMNS, ONE)),
            Shorts.toArray(Collections.nCopies((ALL - ROWS) * COLUMNS, NAN)));
    return context.tensor(
        scope.upload(MemorySegment.ofArray(elements), DType.BF16, ALL, COLUMNS, Layout.ROW_MAJOR));
  }

  private static float[] floats(CudaTensor brain) {
    short[] elements = new short[Math.toIntExact(brain.elements())];
    brain.copyTo(MemorySegment.ofArray(elements));
    float[] values = new float[elements.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(elements[i] << Short.SIZE);
    }
    return values;
  }

  /** The first rows, those below being nobody's. */
  private static CudaTensor withSpareRows(CudaTensor all) {
    return CudaTensor.dense(
        all.scope(), all.address(), DType.BF16, ROWS, COLUMNS, Layout.ROW_MAJOR, ALL - ROWS);
  }

  @Test
  void whatLiesBelowIsNotSummed() {
    try (CudaScope scope = new CudaScope(context)) {
      CudaTensor x = products.withZeros(withSpareRows(onesAndNaN(scope)), "test");
      assertThat(x.rows()).isEqualTo(ALL);
      CudaTensor h = (CudaTensor) scope.zeros(DType.F32, COLUMNS, COLUMNS, Layout.ROW_MAJOR);
      products.gemm(1, x.transposed(), x, 1, h, "test");
      assertThat(HostCopies.floats(h)).containsOnly(ROWS);
    }
  }

  @Test
  void whatLiesBelowTakesNoPart() {
    try (CudaScope scope = new CudaScope(context)) {
      CudaTensor x = withSpareRows(onesAndNaN(scope));
      CudaTensor all = onesAndNaN(scope);
      CudaTensor weight = onesAndNaN(scope).rows(0, COLUMNS);
      products.gemm(1, x, weight.transposed(), 0, withSpareRows(all), "test");
      float[] y = floats(all);
      for (int i = 0; i < y.length; i++) {
        if (i < ROWS * COLUMNS) {
          assertThat(y[i]).isEqualTo(COLUMNS);
        } else {
          // Rounded up: the device wrote there, too.
          assertThat(y[i]).isNaN();
        }
      }
    }
  }

  /** Rows below a view are those of the matrix it is of. */
  @Test
  void viewsHaveNoRoom() {
    try (CudaScope scope = new CudaScope(context)) {
      CudaTensor all = (CudaTensor) scope.zeros(DType.BF16, ALL, COLUMNS, Layout.ROW_MAJOR);
      CudaTensor few = all.rows(0, ROWS);
      assertThat(few.hasRoomFor(ROWS + 1)).isFalse();
      assertThat(all.rows(1, ALL - 1).transposed().hasRoomFor(ALL - 1)).isFalse();
      assertThat(products.withZeros(few, "test")).isSameAs(few);
      CudaTensor ones = onesAndNaN(scope).rows(0, COLUMNS);
      products.gemm(1, onesAndNaN(scope).rows(0, ROWS), ones.transposed(), 0, few, "test");
      assertThat(floats(all.rows(ROWS, ALL))).containsOnly(0);
    }
  }

  @Test
  void activationsHaveRoom() {
    try (CudaScope scope = new CudaScope(context)) {
      CudaTensor x = (CudaTensor) scope.rowMajor(DType.BF16, ROWS, COLUMNS);
      assertThat(x.hasRoomFor(ALL)).isTrue();
      assertThat(x.hasRoomFor(ALL + 1)).isFalse();
      assertThat(x.rows(1, ROWS).hasRoomFor(ALL - 1)).isTrue();
      assertThat(x.columns(1, 3).transposed().hasRoomFor(ALL)).isTrue();
      assertThat(x.columns(1, 3).transposed().columns(0, 3).hasRoomFor(4)).isFalse();
      // Nor are rows of zeros put below columns, between which others lie.
      assertThat(products.withZeros(x.columns(1, 3), "test").rows()).isEqualTo(ROWS);
    }
  }
}
