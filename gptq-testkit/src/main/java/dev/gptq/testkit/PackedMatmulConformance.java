package dev.gptq.testkit;

import static dev.gptq.tensor.Layout.ROW_MAJOR;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.backend.Recording;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What {@link PackedMatmul} promises. */
public abstract class PackedMatmulConformance extends Conformance {
  private static final int[] BITS = {2, 3, 4, 8};

  /** For subclasses. */
  protected PackedMatmulConformance() {}

  @Test
  void everySchemeAndWidth() {
    for (Scheme scheme : Scheme.values()) {
      for (int bits : BITS) {
        for (int tokens : new int[] {1, 5}) {
          matmul(scheme, bits, tokens, 24, 64, 2, false);
          matmul(scheme, bits, tokens, 17, 96, 1, false);
        }
      }
    }
  }

  @Test
  void everyGroupSize() {
    for (int bits : BITS) {
      for (int groupSize : new int[] {32, 64, 128, 256}) {
        matmul(Scheme.ASYMMETRIC, bits, 1, 40, 256, 256 / groupSize, false);
        matmul(Scheme.SYMMETRIC, bits, 9, 40, 256, 256 / groupSize, false);
      }
    }
  }

  @Test
  void groupsInNoRegularOrder() {
    for (int bits : BITS) {
      for (Scheme scheme : new Scheme[] {Scheme.ASYMMETRIC, Scheme.SYMMETRIC}) {
        matmul(scheme, bits, 1, 33, 128, 4, true);
        matmul(scheme, bits, 6, 33, 100, 3, true);
      }
    }
  }

  /** Streams that end in the middle of a word, and codes across two words. */
  @Test
  void columnsThatFillNoWholeWord() {
    for (int bits : BITS) {
      for (int columns : new int[] {1, 3, 7, 9, 10, 11, 31, 33, 61, 127}) {
        matmul(Scheme.ASYMMETRIC, bits, 1, 5, columns, 1, false);
        matmul(Scheme.SYMMETRIC, bits, 3, 18, columns, 1, false);
      }
    }
  }

  /** Codes of 5, 6 and 7 bits, of which none fill a word. */
  @Test
  void theWidthsBetweenFourAndEight() {
    for (int bits : new int[] {5, 6, 7}) {
      matmul(Scheme.ASYMMETRIC, bits, 1, 40, 128, 4, false);
      matmul(Scheme.SYMMETRIC, bits, 9, 24, 64, 2, false);
      matmul(Scheme.HALF_OFFSET, bits, 5, 17, 96, 1, false);
      matmul(Scheme.ASYMMETRIC, bits, 6, 33, 100, 3, true);
      for (int columns : new int[] {1, 7, 33, 61}) {
        matmul(Scheme.SYMMETRIC, bits, 3, 18, columns, 1, false);
      }
    }
  }

  /** Shapes that backends with kernels for whole tiles give to them. */
  @Test
  void wholeTilesOfEveryWidth() {
    for (int bits = 2; bits <= 8; bits++) {
      matmul(Scheme.ASYMMETRIC, bits, 1, 48, 256, 2, false);
      matmul(Scheme.SYMMETRIC, bits, 7, 80, 192, 3, false);
      matmul(Scheme.HALF_OFFSET, bits, 17, 32, 128, 1, false);
      matmul(Scheme.ASYMMETRIC, bits, 66, 16, 128, 2, false);
    }
  }

  @Test
  void everyNumberOfRowsAndTokens() {
    for (int n : Shapes.VECTOR) {
      matmul(Scheme.SYMMETRIC, 4, 1, n, 64, 2, false);
      matmul(Scheme.SYMMETRIC, 4, n, 19, 64, 2, false);
      matmul(Scheme.ASYMMETRIC, 3, n, 19, 64, 2, false);
    }
  }

  @Test
  void largerProducts() {
    matmul(Scheme.SYMMETRIC, 4, 1, 517, 768, 6, false);
    matmul(Scheme.ASYMMETRIC, 4, 65, 300, 512, 4, false);
    matmul(Scheme.ASYMMETRIC, 8, 3, 211, 640, 5, false);
  }

  /** What a recording queues is what was queued, with what the tensors hold then. */
  @Test
  void recordedProductsAreMadeAgain() {
    int columns = 128;
    int rows = 32;
    PackedMatrix packed = random(Scheme.ASYMMETRIC, 4, rows, columns, 2, false);
    Matrix[] x = {
      inputs().normal(activation(), ROW_MAJOR, 3, columns),
      inputs().normal(activation(), ROW_MAJOR, 3, columns)
    };
    try (TensorScope scope = backend().newScope()) {
      PackedWeights weights = backend().packed().prepare(packed, scope);
      Tensor input = scope.rowMajor(activation(), 3, columns);
      Tensor y = scope.rowMajor(activation(), 3, rows);
      backend().packed().matmul(input, weights, y);
      try (Recording recording =
          backend().record(() -> backend().packed().matmul(input, weights, y))) {
        for (Matrix values : x) {
          Tensor uploaded =
              scope.upload(
                  MemorySegment.ofArray(values.bytes()), activation(), 3, columns, ROW_MAJOR);
          backend().linalg().convert(uploaded, input);
          recording.replay();
          Tensor once = scope.rowMajor(activation(), 3, rows);
          backend().packed().matmul(uploaded, weights, once);
          assertThat(bytes(y)).isEqualTo(bytes(once));
        }
      }
    }
  }

  private static byte[] bytes(Tensor tensor) {
    byte[] bytes = new byte[tensor.rows() * tensor.columns() * tensor.type().bytes()];
    tensor.copyTo(MemorySegment.ofArray(bytes));
    return bytes;
  }

  private void matmul(
      Scheme scheme, int bits, int tokens, int rows, int columns, int groups, boolean irregular) {
    PackedMatrix packed = random(scheme, bits, rows, columns, groups, irregular);
    Matrix x = inputs().normal(activation(), ROW_MAJOR, tokens, columns);
    activations(
            String.format(
                Locale.ROOT,
                "packed matmul, %s %d bits, %d x %d by %d tokens, %d groups%s",
                scheme,
                bits,
                rows,
                columns,
                tokens,
                groups,
                irregular ? ", irregular" : ""))
        .in("x", x)
        .out("y", activation(), ROW_MAJOR, tokens, rows)
        .isWithin(
            Tolerance.dot(columns),
            PackedMatrices.productMagnitude(x, packed),
            (backend, t, scope) ->
                backend
                    .packed()
                    .matmul(t.get("x"), backend.packed().prepare(packed, scope), t.get("y")));
  }

  private PackedMatrix random(
      Scheme scheme, int bits, int rows, int columns, int groups, boolean irregular) {
    int[] codes = new int[rows * columns];
    int span = scheme.maxCode(bits) - scheme.minCode() + 1;
    for (int i = 0; i < codes.length; i++) {
      codes[i] = scheme.minCode() + inputs().integer(span);
    }
    float[] scales = new float[groups * rows];
    float[] zeros = new float[groups * rows];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (1 + inputs().integer(2047)) / (1024f * span);
      zeros[i] = inputs().integer(1 << bits);
    }
    int[] groupOf = new int[columns];
    for (int c = 0; c < columns; c++) {
      groupOf[c] = inputs().integer(groups);
    }
    return new PackedMatrix(
        scheme,
        bits,
        rows,
        columns,
        groups,
        PackedMatrices.pack(codes, rows, columns, bits),
        PackedMatrices.floats(scales),
        scheme.hasZeroPoint() ? Optional.of(PackedMatrices.floats(zeros)) : Optional.empty(),
        irregular ? Optional.of(groupOf) : Optional.empty());
  }
}
