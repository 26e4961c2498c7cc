package dev.gptq.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.reference.ReferenceBackendProvider;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Messages and layouts; the conformance kit tries wrong shapes of every argument. */
final class CheckedBackendTest {
  private final Backend backend =
      new CheckedBackend(new ReferenceBackendProvider().open(BackendOptions.defaults()));
  private final TensorScope scope = backend.newScope();

  @AfterEach
  void close() {
    backend.close();
  }

  private Tensor rows(int rows, int columns) {
    return scope.zeros(DType.F32, rows, columns, Layout.ROW_MAJOR);
  }

  private Tensor columns(int rows, int columns) {
    return scope.zeros(DType.F32, rows, columns, Layout.COLUMN_MAJOR);
  }

  private static void assertRejected(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  @Test
  void messagesNameOperationArgumentAndExpectation() {
    LinearAlgebra la = backend.linalg();
    assertRejected(
        () -> la.gemm(1, rows(2, 3), rows(4, 5), 0, rows(2, 5)),
        "gemm: b must be 3 x 5 but is 4 x 5");
    assertRejected(
        () -> la.gemm(1, rows(2, 3), scope.upload(1, 2, 3), 0, rows(2, 5)),
        "gemm: b must be F32 but is I32");
    assertRejected(
        () -> la.accumulateGram(1, columns(9, 2), rows(2, 2)),
        "accumulateGram: x must be ROW_MAJOR but is COLUMN_MAJOR");
    assertRejected(
        () -> la.addSumOfSquares(rows(1, 1), rows(1, 1)),
        "addSumOfSquares: total must be F64 but is F32");
    assertRejected(
        () -> backend.transformer().rmsNorm(rows(2, 6), rows(1, 4), 0, rows(2, 6)),
        "rmsNorm: gain's columns must divide x's");
    assertRejected(
        () ->
            backend
                .transformer()
                .rope(rows(4, 8), 4, RopePairs.HALVES, rows(5, 2), rows(5, 2), 2, 1),
        "rope: positions 2 on exceed the table of 5");
  }

  /** One row of a matrix with contiguous columns, one column of one with contiguous rows. */
  @Test
  void vectorsAreContiguousToo() {
    assertRejected(
        () -> backend.transformer().rmsNorm(rows(2, 6), columns(3, 6).rows(1, 2), 0, rows(2, 6)),
        "rmsNorm: gain must be ROW_MAJOR but is COLUMN_MAJOR");
    Tensor index = scope.zeros(DType.I32, 3, 6, Layout.COLUMN_MAJOR).rows(1, 2);
    assertRejected(
        () -> backend.linalg().zeroColumns(index, rows(2, 9)),
        "zeroColumns: index must be ROW_MAJOR but is COLUMN_MAJOR");
    GridSpec spec = GridSpec.of(Scheme.SYMMETRIC, 4);
    assertRejected(
        () ->
            backend
                .quantization()
                .fitGrid(rows(4, 3).columns(1, 2), spec, columns(4, 1), columns(4, 1)),
        "fitGrid: w must be COLUMN_MAJOR but is ROW_MAJOR");
    assertRejected(
        () ->
            backend
                .quantization()
                .fitGrid(columns(4, 3), spec, rows(4, 2).columns(0, 1), columns(4, 1)),
        "fitGrid: scale must be COLUMN_MAJOR but is ROW_MAJOR");
  }

  @Test
  void gridsMustFitTheWeights() {
    GridSpec spec = GridSpec.of(Scheme.ASYMMETRIC, 4);
    Tensor codes = scope.zeros(DType.U8, 4, 6, Layout.COLUMN_MAJOR);
    Grid fewRows = new Grid(spec, columns(3, 2), columns(3, 2), scope.upload(new int[6]));
    Grid fewColumns = new Grid(spec, columns(4, 2), columns(4, 2), scope.upload(new int[5]));
    assertRejected(
        () -> backend.quantization().quantizeNearest(columns(4, 6), fewRows, codes),
        "quantizeNearest: scale must be 4 x 2 but is 3 x 2");
    assertRejected(
        () -> backend.quantization().dequantize(codes, fewColumns, columns(4, 6)),
        "dequantize: groupOf must be 1 x 6 but is 1 x 5");
    assertRejected(
        () -> backend.quantization().fitGroups(columns(4, 6), spec, columns(4, 4), columns(4, 4)),
        "fitGroups: the groups must divide the columns of w");
  }

  @Test
  void oneThreadOwnsTheBackend() throws InterruptedException {
    String[] message = new String[1];
    Thread other =
        new Thread(
            () -> {
              try {
                backend.newScope();
              } catch (IllegalStateException e) {
                message[0] = e.getMessage();
              }
            },
            "intruder");
    other.start();
    other.join();
    assertThat(message[0])
        .startsWith("backend reference belongs to thread ")
        .endsWith(" but was called from intruder");
  }
}
