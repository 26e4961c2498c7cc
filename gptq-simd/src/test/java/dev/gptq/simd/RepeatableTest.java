package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The bits of a result are the same before and after the compiler got to the kernels. */
final class RepeatableTest {
  private static final int RUNS = 15_000;

  @Test
  void attentionOfOneToken() {
    Random random = new Random(5);
    try (Backend backend = new SimdBackendProvider().open(BackendOptions.defaults());
        TensorScope scope = backend.newScope()) {
      Tensor q = normal(scope, random, 1, 64);
      Tensor k = normal(scope, random, 7, 64);
      Tensor v = normal(scope, random, 7, 64);
      Tensor y = scope.rowMajor(DType.F32, 1, 64);
      AttentionSpec spec = new AttentionSpec(2, 2, 32, 0.2f, 0, 0, false);
      backend.transformer().attention(q, k, v, spec, 1, y);
      float[] first = HostCopies.floats(y);
      for (int run = 0; run < RUNS; run++) {
        backend.transformer().attention(q, k, v, spec, 1, y);
        assertThat(HostCopies.floats(y)).as("run %d", run).isEqualTo(first);
      }
    }
  }

  private static Tensor normal(TensorScope scope, Random random, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return scope.upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.ROW_MAJOR);
  }
}
