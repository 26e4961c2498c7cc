package dev.gptq.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class HostTensorTest {
  private final HostMemory memory = new HostMemory();
  private final HostScope scope = new HostScope(memory);

  @AfterEach
  void close() {
    scope.close();
    memory.close();
  }

  /** Element (r, c) is 10r + c. */
  private Tensor counting(Layout layout) {
    float[] values = new float[4 * 6];
    for (int r = 0; r < 4; r++) {
      for (int c = 0; c < 6; c++) {
        values[layout == Layout.ROW_MAJOR ? r * 6 + c : c * 4 + r] = 10 * r + c;
      }
    }
    return scope.upload(MemorySegment.ofArray(values), DType.F32, 4, 6, layout);
  }

  private static float at(Tensor tensor, int row, int column) {
    HostTensor t = HostTensor.of(tensor);
    return t.segment().getAtIndex(ValueLayout.JAVA_FLOAT, t.index(row, column));
  }

  @Test
  void elementsOfViews() {
    for (Layout layout : Layout.values()) {
      Tensor t = counting(layout);
      assertThat(at(t, 2, 3)).isEqualTo(23);
      Tensor view = t.rows(1, 4).columns(2, 5);
      assertThat(view.rows()).isEqualTo(3);
      assertThat(view.columns()).isEqualTo(3);
      assertThat(view.elements()).isEqualTo(9);
      assertThat(view.byteSize()).isEqualTo(36);
      assertThat(at(view, 0, 0)).isEqualTo(12);
      assertThat(at(view, 2, 1)).isEqualTo(33);
      Tensor turned = view.transposed();
      assertThat(turned.layout()).isEqualTo(layout.transposed());
      assertThat(at(turned, 1, 2)).isEqualTo(33);
      assertThat(at(turned.columns(1, 3).rows(2, 3), 0, 1)).isEqualTo(34);
    }
  }

  @Test
  void stridesFollowTheLayout() {
    HostTensor rows = HostTensor.of(counting(Layout.ROW_MAJOR).columns(1, 3));
    assertThat(rows.rowStride()).isEqualTo(6);
    assertThat(rows.columnStride()).isEqualTo(1);
    assertThat(rows.offset()).isEqualTo(1);
    HostTensor columns = HostTensor.of(counting(Layout.COLUMN_MAJOR).columns(1, 3));
    assertThat(columns.rowStride()).isEqualTo(1);
    assertThat(columns.columnStride()).isEqualTo(4);
    assertThat(columns.offset()).isEqualTo(4);
  }

  @Test
  void copiesOfViewsAreDense() {
    Tensor rows = counting(Layout.ROW_MAJOR).rows(1, 3).columns(4, 6);
    assertThat(HostCopies.floats(rows)).containsExactly(14, 15, 24, 25);
    assertThat(HostCopies.floats(rows.transposed())).containsExactly(14, 15, 24, 25);
    Tensor columns = counting(Layout.COLUMN_MAJOR).rows(1, 3).columns(4, 6);
    assertThat(HostCopies.floats(columns)).containsExactly(14, 24, 15, 25);
    // One row of contiguous columns: its elements lie apart.
    assertThat(HostCopies.floats(counting(Layout.COLUMN_MAJOR).rows(2, 3)))
        .containsExactly(20, 21, 22, 23, 24, 25);
    assertThat(HostCopies.floats(counting(Layout.ROW_MAJOR).columns(2, 3)))
        .containsExactly(2, 12, 22, 32);
  }

  @Test
  void emptyViews() {
    Tensor t = counting(Layout.ROW_MAJOR);
    assertThat(HostCopies.floats(t.columns(6, 6))).isEmpty();
    assertThat(HostCopies.floats(t.rows(2, 2))).isEmpty();
  }

  @Test
  void indicesBeyondTwoThirtyOne() {
    // A view far into a large matrix, without its memory: only the arithmetic is tested.
    MemorySegment nothing = MemorySegment.ofArray(new byte[0]);
    HostTensor large =
        new HostTensor(scope, nothing, 0, DType.F32, 70_000, 70_000, Layout.COLUMN_MAJOR);
    assertThat(large.index(69_999, 69_999)).isEqualTo(70_000L * 70_000 - 1);
    assertThat(HostTensor.of(large.columns(69_000, 70_000)).offset()).isEqualTo(4_830_000_000L);
    assertThat(large.byteSize()).isEqualTo(19_600_000_000L);
  }

  @Test
  void onlyTensorsOfTheHostAreAccepted() {
    Tensor foreign =
        (Tensor)
            Proxy.newProxyInstance(
                Tensor.class.getClassLoader(),
                new Class<?>[] {Tensor.class},
                (proxy, method, arguments) -> null);
    assertThatThrownBy(() -> HostTensor.of(foreign))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("another backend");
  }

  @Test
  void copiesCheckTheType() {
    Tensor ints = scope.upload(1, 2, 3);
    assertThat(HostCopies.ints(ints)).containsExactly(1, 2, 3);
    assertThatThrownBy(() -> HostCopies.floats(ints))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("expected F32 but the tensor is I32");
  }
}
