package dev.gptq.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class HostScopeTest {
  private final HostMemory memory = new HostMemory();
  private final HostScope root = new HostScope(memory);

  @AfterEach
  void close() {
    root.close();
    memory.close();
  }

  @Test
  void memoryComesBackWhenTheScopeCloses() {
    try (TensorScope scope = root.child()) {
      scope.rowMajor(DType.F32, 100, 100);
      scope.columnMajor(DType.U8, 100, 100);
      assertThat(memory.usage().live()).isGreaterThanOrEqualTo(50_000);
    }
    assertThat(memory.usage().live()).isZero();
  }

  @Test
  void childrenCloseWithTheirParent() {
    HostScope parent = (HostScope) root.child();
    HostScope child = (HostScope) parent.child();
    HostScope sibling = (HostScope) parent.child();
    Tensor tensor = child.upload(1f);
    sibling.close();
    assertThat(parent.isOpen()).isTrue();
    assertThat(child.isOpen()).isTrue();
    parent.close();
    assertThat(child.isOpen()).isFalse();
    assertThatThrownBy(() -> HostTensor.of(tensor)).isInstanceOf(IllegalStateException.class);
    assertThat(memory.usage().live()).isZero();
  }

  /** A second close must not give back what another scope holds by then. */
  @Test
  void closingTwiceHasNoEffect() {
    TensorScope first = root.child();
    first.upload(1f, 2f);
    first.close();
    try (TensorScope second = root.child()) {
      Tensor tensor = second.upload(3f, 4f);
      first.close();
      assertThat(memory.usage().live()).isPositive();
      second.upload(5f, 6f);
      assertThat(HostCopies.floats(tensor)).containsExactly(3, 4);
    }
  }

  @Test
  void closedScopesRejectEverything() {
    TensorScope scope = root.child();
    Tensor tensor = scope.upload(1f, 2f);
    HostTensor host = HostTensor.of(tensor);
    scope.close();
    assertThatThrownBy(() -> scope.rowMajor(DType.F32, 1, 1))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(scope::child).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(host::segment).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> HostCopies.floats(tensor)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void zerosClearReusedBlocks() {
    try (TensorScope scope = root.child()) {
      scope.upload(7f, 8f, 9f);
    }
    Tensor zeros = root.zeros(DType.F32, 1, 3, Layout.ROW_MAJOR);
    assertThat(HostCopies.floats(zeros)).containsExactly(0, 0, 0);
  }

  @Test
  void uploadsNeedEnoughBytes() {
    MemorySegment three = MemorySegment.ofArray(new float[3]);
    assertThatThrownBy(() -> root.upload(three, DType.F32, 2, 2, Layout.ROW_MAJOR))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("upload of 16 bytes from a segment of 12");
    assertThat(HostCopies.floats(root.upload(three, DType.F32, 1, 2, Layout.ROW_MAJOR)))
        .containsExactly(0, 0);
  }

  @Test
  void emptyTensors() {
    assertThat(HostCopies.floats(root.upload(new float[0]))).isEmpty();
    assertThat(root.rowMajor(DType.F32, 0, 5).elements()).isZero();
  }
}
