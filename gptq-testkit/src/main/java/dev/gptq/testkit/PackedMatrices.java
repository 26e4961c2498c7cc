package dev.gptq.testkit;

import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Packed matrices from and to plain arrays. */
final class PackedMatrices {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private PackedMatrices() {}

  /** Packs codes, rows × columns, into words at an odd address, as a mapped file may have them. */
  static MemorySegment pack(int[] codes, int rows, int columns, int bits) {
    MemorySegment words = odd(4L * BitStream.words(columns, bits) * rows);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        BitStream.put(words, rows, r, c, bits, codes[r * columns + c]);
      }
    }
    return words;
  }

  static MemorySegment floats(float[] values) {
    MemorySegment segment = odd(4L * values.length);
    for (int i = 0; i < values.length; i++) {
      segment.set(FLOAT, 4L * i, values[i]);
    }
    return segment;
  }

  private static MemorySegment odd(long bytes) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(bytes + 1)]).asSlice(1);
  }

  /**
   * {@code |X|·|s|(|u| + |z|)}: a backend may sum codes and zero points separately, so that their
   * magnitudes count, not that of the difference.
   */
  static Matrix productMagnitude(Matrix x, PackedMatrix m) {
    double[] terms = new double[m.rows() * m.columns()];
    for (int r = 0; r < m.rows(); r++) {
      for (int c = 0; c < m.columns(); c++) {
        int g = m.group(c);
        double distance = m.code(r, c) + Math.abs(m.zero(r, g));
        terms[r * m.columns() + c] = Math.abs(m.scale(r, g)) * distance;
      }
    }
    Matrix weights = Matrix.of(m.rows(), m.columns(), terms);
    Matrix none = Definitions.constant(x.rows(), m.rows(), 0);
    return Definitions.productMagnitude(1, x, weights.transposed(), 0, none);
  }
}
