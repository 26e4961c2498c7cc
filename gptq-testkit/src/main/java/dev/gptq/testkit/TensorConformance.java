package dev.gptq.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** What {@link Tensor} and {@link TensorScope} promise about contents. */
public abstract class TensorConformance extends Conformance {
  private static final int[][] SHAPES = {{1, 1}, {1, 7}, {9, 1}, {5, 8}, {17, 33}, {129, 65}};

  /** For subclasses. */
  protected TensorConformance() {}

  private Matrix random(DType type, Layout layout, int rows, int columns) {
    Matrix m = inputs().normal(DType.F32, layout, rows, columns);
    double factor = type.isReal() || type == DType.F64 ? 1 : 40;
    for (int i = 0; i < m.values().length; i++) {
      m.values()[i] = Math.abs(m.values()[i]) * factor;
    }
    return m.as(type);
  }

  private static Tensor upload(TensorScope scope, Matrix m) {
    return scope.upload(
        MemorySegment.ofArray(m.bytes()), m.type(), m.rows(), m.columns(), m.layout());
  }

  private static byte[] download(Tensor tensor) {
    byte[] bytes = new byte[Math.toIntExact(tensor.byteSize())];
    tensor.copyTo(MemorySegment.ofArray(bytes));
    return bytes;
  }

  private static void assertContents(Tensor tensor, Matrix expected) {
    assertThat(tensor.type()).isEqualTo(expected.type());
    assertThat(tensor.rows()).isEqualTo(expected.rows());
    assertThat(tensor.columns()).isEqualTo(expected.columns());
    assertThat(tensor.layout()).isEqualTo(expected.layout());
    assertThat(download(tensor)).as(expected.toString()).isEqualTo(expected.bytes());
  }

  @Test
  void uploadedElementsComeBack() {
    for (DType type : DType.values()) {
      for (Layout layout : Layout.values()) {
        for (int[] s : SHAPES) {
          Matrix m = random(type, layout, s[0], s[1]);
          try (TensorScope scope = backend().newScope()) {
            assertContents(upload(scope, m), m);
          }
        }
      }
    }
  }

  @Test
  void viewsShowTheirPart() {
    for (DType type : DType.values()) {
      for (Layout layout : Layout.values()) {
        Matrix m = random(type, layout, 17, 33);
        try (TensorScope scope = backend().newScope()) {
          Tensor tensor = upload(scope, m);
          Matrix part = part(m, 3, 14, 5, 30);
          assertContents(tensor.rows(3, 14).columns(5, 30), part);
          assertContents(tensor.columns(5, 30).rows(3, 14), part);
          assertContents(tensor.transposed(), m.transposed());
          assertContents(tensor.transposed().rows(5, 30).columns(3, 14), part.transposed());
          assertContents(
              tensor.rows(3, 14).transposed().rows(5, 30).rows(1, 2),
              part(m, 3, 14, 6, 7).transposed());
          assertContents(tensor.columns(8, 9), part(m, 0, 17, 8, 9));
          assertContents(tensor.rows(16, 17), part(m, 16, 17, 0, 33));
        }
      }
    }
  }

  private static Matrix part(Matrix m, int top, int bottom, int left, int right) {
    Matrix part = Matrix.filled(m.type(), m.layout(), bottom - top, right - left, 0);
    for (int r = top; r < bottom; r++) {
      System.arraycopy(
          m.values(),
          r * m.columns() + left,
          part.values(),
          (r - top) * part.columns(),
          part.columns());
    }
    return part;
  }

  @Test
  void viewsShareMemory() {
    Matrix y = random(DType.F32, Layout.COLUMN_MAJOR, 9, 12);
    try (TensorScope scope = backend().newScope()) {
      Tensor whole = upload(scope, y);
      Tensor zeros = scope.zeros(DType.F32, 4, 5, Layout.ROW_MAJOR);
      backend().linalg().convert(zeros, whole.rows(2, 6).columns(3, 8));
      for (int r = 2; r < 6; r++) {
        for (int c = 3; c < 8; c++) {
          y.values()[r * 12 + c] = 0;
        }
      }
      assertContents(whole, y);
    }
  }

  @Test
  void rowsOfAnotherLengthHaveTheSameElements() {
    Matrix m = random(DType.F32, Layout.ROW_MAJOR, 6, 10);
    try (TensorScope scope = backend().newScope()) {
      Tensor whole = upload(scope, m);
      Tensor middle = whole.rows(1, 4).reshaped(15, 2);
      assertThat(middle.rows()).isEqualTo(15);
      assertThat(download(middle)).isEqualTo(part(m, 1, 4, 0, 10).bytes());
      assertThat(download(whole.rows(2, 3).columns(4, 8).reshaped(2, 2)))
          .isEqualTo(part(m, 2, 3, 4, 8).bytes());
      assertThat(download(middle.reshaped(5, 6).rows(1, 2))).isEqualTo(download(middle.rows(3, 6)));
      backend().linalg().convert(scope.zeros(DType.F32, 1, 2, Layout.ROW_MAJOR), middle.rows(0, 1));
      m.values()[10] = 0;
      m.values()[11] = 0;
      assertContents(whole, m);
      assertThatThrownBy(() -> whole.reshaped(7, 9)).isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> whole.transposed().reshaped(6, 10))
          .isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> whole.columns(0, 5).reshaped(5, 6))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void viewsOutsideTheTensorAreRejected() {
    try (TensorScope scope = backend().newScope()) {
      Tensor t = scope.zeros(DType.F32, 4, 6, Layout.ROW_MAJOR);
      int[][] ranges = {{-1, 2}, {0, 7}, {3, 2}, {7, 8}};
      for (int[] range : ranges) {
        assertThatThrownBy(() -> t.columns(range[0], range[1]))
            .isInstanceOf(IndexOutOfBoundsException.class);
      }
      assertThatThrownBy(() -> t.rows(0, 5)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> t.rows(-1, 1)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void zerosAreZeroEvenInReusedMemory() {
    for (DType type : DType.values()) {
      Matrix m = random(type, Layout.ROW_MAJOR, 33, 65);
      try (TensorScope scope = backend().newScope()) {
        assertContents(upload(scope, m), m);
      }
      try (TensorScope scope = backend().newScope()) {
        Tensor zeros = scope.zeros(type, 33, 65, Layout.ROW_MAJOR);
        assertThat(download(zeros)).containsOnly(0);
      }
    }
  }

  @Test
  void unalignedSourcesAndTargets() {
    Matrix m = random(DType.F32, Layout.ROW_MAJOR, 5, 7);
    byte[] bytes = m.bytes();
    try (Arena arena = Arena.ofConfined();
        TensorScope scope = backend().newScope()) {
      MemorySegment odd = arena.allocate(bytes.length + 9L, 8).asSlice(3);
      MemorySegment.copy(MemorySegment.ofArray(bytes), 0, odd, 0, bytes.length);
      Tensor tensor = scope.upload(odd, DType.F32, 5, 7, Layout.ROW_MAJOR);
      // The source is not referenced afterwards.
      odd.fill((byte) 0x55);
      assertContents(tensor, m);
      tensor.columns(1, 4).copyTo(odd);
      byte[] part = odd.asSlice(0, 60).toArray(ValueLayout.JAVA_BYTE);
      assertThat(part).isEqualTo(part(m, 0, 5, 1, 4).bytes());
      assertThat(odd.get(ValueLayout.JAVA_BYTE, 60)).isEqualTo((byte) 0x55);
    }
  }

  @Test
  void shortSegmentsAreRejected() {
    try (TensorScope scope = backend().newScope()) {
      MemorySegment small = MemorySegment.ofArray(new byte[4 * 12 - 1]);
      assertThatThrownBy(() -> scope.upload(small, DType.F32, 3, 4, Layout.ROW_MAJOR))
          .isInstanceOf(IllegalArgumentException.class);
      Tensor tensor = scope.zeros(DType.F32, 3, 4, Layout.ROW_MAJOR);
      assertThatThrownBy(() -> tensor.copyTo(small)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> tensor.rows(0, 3).transposed().copyTo(small))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void negativeSizesAreRejected() {
    try (TensorScope scope = backend().newScope()) {
      assertThatThrownBy(() -> scope.allocate(DType.F32, -1, 4, Layout.ROW_MAJOR))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }
}
