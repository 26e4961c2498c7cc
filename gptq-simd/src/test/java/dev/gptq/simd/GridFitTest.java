package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Few rows, for the width of vectors on which the conformance kit's many would take minutes. */
final class GridFitTest {
  private static final int ROWS = 19;
  private static final int COLUMNS = 6;

  @Test
  void theSearchFindsTheSameGridsAsTheReference() {
    float[] w = new float[ROWS * COLUMNS];
    Random random = new Random(5);
    for (int i = 0; i < w.length; i++) {
      w[i] = (float) random.nextGaussian() * 0.02f;
    }
    for (Scheme scheme : Scheme.values()) {
      for (DType type : new DType[] {DType.F32, DType.F16, DType.BF16}) {
        GridSpec spec = new GridSpec(scheme, 4, GridSearch.MSE, type);
        try (Backend simd = new SimdBackendProvider().open(BackendOptions.defaults());
            Backend reference = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
          assertThat(fit(simd, w, spec)).as("%s", spec).isEqualTo(fit(reference, w, spec));
        }
      }
    }
  }

  /** Scales, then zero points. */
  private static float[] fit(Backend backend, float[] w, GridSpec spec) {
    try (TensorScope scope = backend.newScope()) {
      Tensor weights =
          scope.upload(MemorySegment.ofArray(w), DType.F32, ROWS, COLUMNS, Layout.COLUMN_MAJOR);
      Tensor grid = scope.columnMajor(DType.F32, ROWS, 2);
      backend.quantization().fitGrid(weights, spec, grid.columns(0, 1), grid.columns(1, 2));
      return HostCopies.floats(grid);
    }
  }
}
