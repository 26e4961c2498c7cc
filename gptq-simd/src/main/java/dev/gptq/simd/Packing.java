package dev.gptq.simd;

import dev.gptq.simd.Matrix.Triangle;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * Copies operands of a product into panels: {@code width} rows of A (or columns of B) for one k are
 * neighbours, then come those of the next k. Rows beyond the matrix and the empty side of a
 * triangle become zeros.
 */
final class Packing {
  private Packing() {}

  /** Scratch bytes for the conversion of a block to F32. */
  static long scratchBytes(int runs, int depth) {
    return (long) runs * depth * Float.BYTES;
  }

  /**
   * Packs rows r0 … r1 − 1 and columns k0 … k1 − 1 of a into panels of {@code width} rows, each of
   * {@code width·stride} floats, the first at the start of {@code target}.
   */
  static void pack(
      Matrix a,
      int r0,
      int r1,
      int k0,
      int k1,
      int width,
      long stride,
      MemorySegment scratch,
      MemorySegment target,
      long offset) {
    Matrix block = a.block(r0, r1, k0, k1);
    if (a.type() != DType.F32) {
      block = converted(block, scratch);
    }
    for (int r = r0; r < r1; r += width, offset += width * stride * Float.BYTES) {
      int rows = Math.min(width, r1 - r);
      // Columns of a triangle that the panel's rows do not reach are neither packed nor used.
      int from = Math.max(k0, first(a, r));
      int to = Math.min(k1, last(a, r + rows));
      if (from < to) {
        long at = offset + (long) (from - k0) * width * Float.BYTES;
        Matrix panel = block.block(r - r0, r - r0 + rows, from - k0, to - k0);
        packPanel(panel, width, target, at);
        clearTriangle(a, r, rows, from, to, width, target, at);
      }
    }
  }

  /** The first column that holds values in row r and those below. */
  static int first(Matrix a, int r) {
    return a.triangle() == Triangle.UPPER ? r : 0;
  }

  /** One past the last column that holds values in the rows before {@code end}. */
  static int last(Matrix a, int end) {
    return a.triangle() == Triangle.LOWER ? Math.min(end, a.columns()) : a.columns();
  }

  private static Matrix converted(Matrix block, MemorySegment scratch) {
    Matrix source = block.rowsContiguous() ? block : block.transposed();
    Matrix target = Matrix.rowMajor(scratch, source.rows(), source.columns());
    for (int run = 0; run < source.rows(); run++) {
      Conversion.toFloat(
          source.type(),
          source.segment(),
          source.index(run, 0),
          scratch,
          target.index(run, 0),
          source.columns());
    }
    return block.rowsContiguous() ? target : target.transposed();
  }

  private static void packPanel(Matrix panel, int width, MemorySegment target, long at) {
    if (panel.rows() < width) {
      long bytes = (long) panel.columns() * width * Float.BYTES;
      target.asSlice(at, bytes).fill((byte) 0);
    }
    if (panel.rowsContiguous()) {
      transpose(panel, width, target, at);
    } else if (panel.rows() == width && width % Lanes.COUNT == 0) {
      copyVectors(panel, width, target, at);
    } else {
      copy(panel, width, target, at);
    }
  }

  private static void copyVectors(Matrix panel, int width, MemorySegment target, long at) {
    MemorySegment source = panel.segment();
    long start = panel.at(0, 0);
    long step = panel.columnStride() * Float.BYTES;
    int bytes = width * Float.BYTES;
    for (int k = 0; k < panel.columns(); k++) {
      for (int i = 0; i < bytes; i += Lanes.BYTES) {
        Lanes.store(Lanes.load(source, start + k * step + i), target, at + (long) k * bytes + i);
      }
    }
  }

  private static void copy(Matrix panel, int width, MemorySegment target, long at) {
    MemorySegment source = panel.segment();
    int rows = panel.rows();
    for (int k = 0; k < panel.columns(); k++) {
      long from = panel.at(0, k);
      long to = at + (long) k * width * Float.BYTES;
      for (int i = 0; i < rows; i++) {
        float value = source.get(Lanes.FLOAT, from + i * 4L);
        target.set(Lanes.FLOAT, to + i * 4L, value);
      }
    }
  }

  private static void transpose(Matrix panel, int width, MemorySegment target, long at) {
    MemorySegment source = panel.segment();
    int depth = panel.columns();
    long step = (long) width * Float.BYTES;
    for (int i = 0; i < panel.rows(); i++) {
      long from = panel.at(i, 0);
      long to = at + i * 4L;
      for (int k = 0; k < depth; k++) {
        float value = source.get(Lanes.FLOAT, from + k * 4L);
        target.set(Lanes.FLOAT, to + k * step, value);
      }
    }
  }

  private static void clearTriangle(
      Matrix a, int r, int rows, int from, int to, int width, MemorySegment target, long at) {
    if (a.triangle() == Triangle.FULL) {
      return;
    }
    boolean lower = a.triangle() == Triangle.LOWER;
    for (int k = Math.max(from, r); k < Math.min(to, r + rows); k++) {
      for (int i = 0; i < rows; i++) {
        if (lower ? k > r + i : k < r + i) {
          target.set(Lanes.FLOAT, at + ((long) (k - from) * width + i) * Float.BYTES, 0f);
        }
      }
    }
  }

  /** {@code rows × columns} floats of C, scaled in place: {@code C ← β·C}; β = 0 clears NaN too. */
  static void scale(Matrix c, float beta) {
    FloatVector factor = FloatVector.broadcast(Lanes.F, beta);
    for (int r = 0; r < c.rows(); r++) {
      long row = c.at(r, 0);
      int j = 0;
      for (; j < Lanes.F.loopBound(c.columns()); j += Lanes.COUNT) {
        long at = row + j * 4L;
        Lanes.store(
            beta == 0 ? FloatVector.zero(Lanes.F) : Lanes.load(c.segment(), at).mul(factor),
            c.segment(),
            at);
      }
      for (; j < c.columns(); j++) {
        long at = row + j * 4L;
        c.segment().set(Lanes.FLOAT, at, beta == 0 ? 0 : beta * c.segment().get(Lanes.FLOAT, at));
      }
    }
  }
}
