package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.Availability;
import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What backends and scopes promise about lifetimes, memory, threads and descriptions. */
public abstract class LifetimeConformance extends Conformance {
  private static final long KIBI = 1024;

  /** For subclasses. */
  protected LifetimeConformance() {}

  @Test
  void descriptionIsComplete() {
    assertThat(backend().info().name()).isEqualTo(backendUnderTest().provider().name());
    assertThat(backend().info().device()).isNotBlank();
    assertThat(activation()).isIn(DType.F32, DType.BF16);
    Availability availability = backendUnderTest().provider().probe(backendUnderTest().options());
    assertThat(availability).isInstanceOf(Availability.Available.class);
    assertThat(((Availability.Available) availability).device()).isNotBlank();
  }

  @Test
  void scopesGiveTheirMemoryBack() {
    long before = backend().memory().live();
    try (TensorScope scope = backend().newScope()) {
      scope.allocate(DType.F32, 64, 64, Layout.ROW_MAJOR);
      assertThat(backend().memory().live()).isGreaterThanOrEqualTo(before + 16 * KIBI);
      try (TensorScope child = scope.child()) {
        child.zeros(DType.U8, 1024, 16, Layout.COLUMN_MAJOR);
        assertThat(backend().memory().live()).isGreaterThanOrEqualTo(before + 32 * KIBI);
      }
      assertThat(backend().memory().live()).isLessThan(before + 32 * KIBI);
    }
    assertThat(backend().memory().live()).isEqualTo(before);
    assertThat(backend().memory().peak()).isGreaterThanOrEqualTo(before + 32 * KIBI);
    assertThat(backend().memory().reserved()).isGreaterThanOrEqualTo(backend().memory().live());
  }

  @Test
  void closingAScopeClosesItsChildren() {
    long before = backend().memory().live();
    TensorScope scope = backend().newScope();
    TensorScope child = scope.child();
    TensorScope grandchild = child.child();
    Tensor tensor = grandchild.zeros(DType.F32, 3, 3, Layout.ROW_MAJOR);
    scope.close();
    assertThat(backend().memory().live()).isEqualTo(before);
    assertClosed(tensor);
    assertThatThrownBy(() -> grandchild.zeros(DType.F32, 1, 1, Layout.ROW_MAJOR))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(child::child).isInstanceOf(IllegalStateException.class);
    // In any order, and again: without effect.
    grandchild.close();
    child.close();
    scope.close();
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  @Test
  void viewsLiveAsLongAsTheirTensor() {
    TensorScope scope = backend().newScope();
    Tensor tensor = scope.zeros(DType.F32, 8, 8, Layout.ROW_MAJOR);
    Tensor view = tensor.rows(1, 4).columns(2, 5);
    Tensor turned = tensor.transposed();
    scope.close();
    assertClosed(view);
    assertClosed(turned);
  }

  /** A new scope may get the memory of a closed one, but not its tensors back. */
  @Test
  void reusedMemoryDoesNotReviveTensors() {
    TensorScope first = backend().newScope();
    Tensor stale = first.zeros(DType.F32, 16, 16, Layout.ROW_MAJOR);
    first.close();
    try (TensorScope second = backend().newScope()) {
      second.zeros(DType.F32, 16, 16, Layout.ROW_MAJOR);
      assertClosed(stale);
    }
  }

  private static void assertClosed(Tensor tensor) {
    MemorySegment target = MemorySegment.ofArray(new byte[(int) tensor.byteSize()]);
    assertThatThrownBy(() -> tensor.copyTo(target)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void preparedWeightsLiveAsLongAsTheirScope() {
    try (TensorScope scope = backend().newScope()) {
      Tensor x = scope.zeros(activation(), 1, 8, Layout.ROW_MAJOR);
      Tensor y = scope.zeros(activation(), 1, 2, Layout.ROW_MAJOR);
      TensorScope child = scope.child();
      PackedWeights weights = backend().packed().prepare(packed(), child);
      assertThat(weights.rows()).isEqualTo(2);
      assertThat(weights.columns()).isEqualTo(8);
      assertThat(weights.byteSize()).isGreaterThanOrEqualTo(8);
      child.close();
      assertThatThrownBy(() -> backend().packed().matmul(x, weights, y))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> backend().packed().prepare(packed(), child))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void foreignPackedWeightsAreRejected() {
    record Foreign(int rows, int columns, long byteSize) implements PackedWeights {}

    PackedMatmul ops = backend().packed();
    try (TensorScope scope = backend().newScope()) {
      Tensor x = scope.zeros(activation(), 1, 8, Layout.ROW_MAJOR);
      Tensor y = scope.zeros(activation(), 1, 2, Layout.ROW_MAJOR);
      assertThatThrownBy(() -> ops.matmul(x, new Foreign(2, 8, 8), y))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private static PackedMatrix packed() {
    return new PackedMatrix(
        Scheme.SYMMETRIC,
        4,
        2,
        8,
        1,
        PackedMatrices.pack(new int[16], 2, 8, 4),
        PackedMatrices.floats(new float[] {1, 1}),
        Optional.empty(),
        Optional.empty());
  }

  @Test
  void closingTheBackendClosesItsScopes() {
    Backend other = openUnderTest();
    TensorScope scope = other.newScope();
    Tensor tensor = scope.zeros(DType.F32, 4, 4, Layout.ROW_MAJOR);
    other.close();
    assertClosed(tensor);
    assertThatThrownBy(() -> scope.zeros(DType.F32, 1, 1, Layout.ROW_MAJOR))
        .isInstanceOf(IllegalStateException.class);
    scope.close();
  }

  @Test
  void instancesAreIndependent() {
    Backend first = openUnderTest();
    Backend second = openUnderTest();
    try (TensorScope scope = second.newScope()) {
      Tensor tensor = scope.zeros(DType.F32, 4, 4, Layout.ROW_MAJOR);
      first.close();
      byte[] bytes = new byte[64];
      tensor.copyTo(MemorySegment.ofArray(bytes));
      assertThat(bytes).containsOnly(0);
    }
    second.close();
  }

  @Test
  void anotherThreadIsRejected() throws InterruptedException {
    Throwable[] thrown = new Throwable[1];
    Thread thread =
        new Thread(() -> {
          try {
            backend().linalg();
          } catch (IllegalStateException e) {
            thrown[0] = e;
          }
        });
    thread.start();
    thread.join();
    assertThat(thrown[0]).hasMessageContaining("belongs to thread");
  }
}
