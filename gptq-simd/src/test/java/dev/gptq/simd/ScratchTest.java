package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** What operations keep for the next one beside tensors. */
final class ScratchTest {
  private static void multiply(Backend backend) {
    try (TensorScope scope = backend.newScope()) {
      Tensor a = scope.zeros(DType.F32, 64, 64, Layout.ROW_MAJOR);
      Tensor c = scope.zeros(DType.F32, 64, 64, Layout.ROW_MAJOR);
      backend.linalg().gemm(1, a, a, 0, c);
    }
  }

  @Test
  void scratchOfLanesIsCountedUntilTheyAreClosed() {
    try (Backend backend = new SimdBackendProvider().open(BackendOptions.defaults())) {
      multiply(backend);
      long alone = backend.memory().reserved();
      try (Backend lane = backend.newLane()) {
        multiply(lane);
        assertThat(backend.memory().reserved()).isGreaterThan(alone);
      }
      assertThat(backend.memory().reserved()).isEqualTo(alone);
    }
  }

  @Test
  void closingGivesAllKindsBack() {
    AtomicLong total = new AtomicLong();
    try (Workspace workspace = new Workspace(total)) {
      workspace.get(Workspace.Use.TILE, 2, 100);
      workspace.get(Workspace.Use.TILE, 2, 1000);
      workspace.floats(Workspace.Use.TILE, 3, 10);
      workspace.floats(Workspace.Use.TILE, 3, 20);
      workspace.integers(Workspace.Use.TILE, 1, 5);
      assertThat(total).hasValue(2 * 1024 + 4 * (3 * 20 + 5));
    }
    assertThat(total).hasValue(0);
  }

  /** A buffer that there was no room for is asked for again, and nothing closed is used. */
  @Test
  void afterAFailureThereIsRoomForLess() {
    AtomicLong total = new AtomicLong();
    try (Workspace workspace = new Workspace(total)) {
      workspace.get(Workspace.Use.TILE, 1, 100);
      assertThatThrownBy(() -> workspace.get(Workspace.Use.TILE, 2, 1L << 52))
          .isInstanceOf(OutOfMemoryError.class);
      assertThat(total).hasValue(0);
      assertThat(workspace.get(Workspace.Use.TILE, 1, 100)[0].fill((byte) 1).byteSize())
          .isEqualTo(128);
    }
  }
}
