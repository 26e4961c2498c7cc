package dev.gptq.quantizer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import com.sun.management.ThreadMXBean;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.TensorScope;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

final class ImportanceTest {
  private static final int COLUMNS = 2048;

  /** A square would be 16 MiB here, and more than an array can hold for 46341 columns. */
  @Test
  void theHeapHoldsADiagonalAndNoSquare() {
    float[] means = new float[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      means[i] = i * 0.5f;
    }
    Importance importance =
        new Importance(
            ImmutableMap.of(
                "some",
                new Importance.Columns(means, 4),
                "none",
                new Importance.Columns(new float[3], 0)));
    assertThat(importance.bytes()).isEqualTo((COLUMNS + 3) * Float.BYTES);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Backend backend = Backends.open("simd", BackendOptions.defaults(), _ -> {});
        TensorScope scope = backend.newScope()) {
      long before = threads.getCurrentThreadAllocatedBytes();
      Hessian hessian = importance.hessian("some", backend, scope).orElseThrow();
      assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(4 << 20);
      assertThat(hessian.tokens()).isEqualTo(4);
      assertThat(hessian.meanSquares()).containsExactly(means);
      assertThat(importance.hessian("none", backend, scope)).isEmpty();
      assertThat(importance.hessian("other", backend, scope)).isEmpty();
    }
  }
}
