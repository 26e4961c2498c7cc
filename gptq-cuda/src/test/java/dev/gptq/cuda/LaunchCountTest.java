package dev.gptq.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.TensorScope;
import org.junit.jupiter.api.Test;

/** What the host queues for a small matrix, which takes longer than a GPU does for it. */
final class LaunchCountTest {
  private static final int ROWS = 96;
  private static final int COLUMNS = 512;

  /** All groups are fitted at once. */
  @Test
  void roundingIsTwoKernels() {
    EmulatedDriver driver = EmulatedDriver.withoutKernels(Long.MAX_VALUE);
    try (Backend backend =
            new CheckedBackend(EmulatedProvider.backend(driver, BackendOptions.defaults()));
        TensorScope scope = backend.newScope()) {
      new RoundToNearest(backend, GridSpec.of(Scheme.SYMMETRIC, 4), 128)
          .quantize(scope.columnMajor(DType.F32, ROWS, COLUMNS), scope);
      assertThat(driver.launched()).containsExactly("candidateGrid", "quantizeNearest");
    }
  }
}
