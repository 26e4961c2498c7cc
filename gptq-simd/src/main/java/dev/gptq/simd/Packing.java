package dev.gptq.simd;

import dev.gptq.simd.Matrix.Triangle;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Copies operands of a product into panels: {@code width} rows of A (or columns of B) for one k are
 * neighbours, then come those of the next k. Rows beyond the matrix and the empty side of a
 * triangle become zeros.
 */
final class Packing {
  // Columns that are transposed at once: what they fill stays in the first-level cache.
  private static final int STRETCH = 256;

  private Packing() {}

  /**
   * Packs rows r0 … r1 − 1 and columns k0 … k1 − 1 of a into panels of {@code width} rows, each of
   * {@code width·stride} floats, the first at {@code start} of {@code target}.
   */
  static void pack(
      Matrix a,
      int r0,
      int r1,
      int k0,
      int k1,
      int width,
      int stride,
      MemorySegment scratch,
      float[] target,
      int start) {
    Matrix block = floats(a.block(r0, r1, k0, k1), scratch);
    int whole = 0;
    if (a.triangle() == Triangle.FULL && copiesVectors(block, width)) {
      whole = block.rows() / width * width;
      copyPanels(block, whole, width, stride, target, start);
    }
    int panelStart = start + whole * stride;
    for (int r = r0 + whole; r < r1; r += width, panelStart += width * stride) {
      int rows = Math.min(width, r1 - r);
      // Columns of a triangle that the panel's rows do not reach are neither packed nor used.
      int from = Math.max(k0, first(a, r));
      int to = Math.min(k1, last(a, r + rows));
      if (from < to) {
        int at = panelStart + (from - k0) * width;
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

  /** A block in F32: itself, or in scratch. */
  static Matrix floats(Matrix block, MemorySegment scratch) {
    if (block.type() == DType.F32) {
      return block;
    }
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

  private static void packPanel(Matrix panel, int width, float[] target, int at) {
    if (panel.rows() < width) {
      Arrays.fill(target, at, at + panel.columns() * width, 0f);
    }
    if (panel.rowsContiguous()) {
      transpose(panel, width, target, at);
    } else if (panel.rows() == width && copiesVectors(panel, width)) {
      copyPanels(panel, width, width, 0, target, at);
    } else if (panel.rows() == width
        && width < Lanes.COUNT
        && panel.columnStride() >= Lanes.COUNT) {
      copyNarrow(panel, width, target, at);
    } else {
      copy(panel, width, target, at);
    }
  }

  /** Whether columns are contiguous and those of a panel whole vectors. */
  private static boolean copiesVectors(Matrix block, int width) {
    return !block.rowsContiguous() && width % Lanes.COUNT == 0;
  }

  /**
   * Copies full panels side by side: each column is read from end to end, since the next one is far
   * away, in another page.
   */
  private static void copyPanels(
      Matrix block, int rows, int width, int stride, float[] target, int start) {
    for (int k = 0; k < block.columns(); k++) {
      int at = start + k * width;
      for (int r = 0; r < rows; r += width) {
        copyVectors(block.segment(), block.at(r, k), width, target, at + r * stride);
      }
    }
  }

  /** Calls the vector operations directly: a helper that is not inlined would make objects. */
  private static void copyVectors(
      MemorySegment source, long from, int count, float[] target, int to) {
    Lanes.requireNative(source);
    for (int i = 0; i < count; i += Lanes.COUNT) {
      FloatVector.fromMemorySegment(Lanes.F, source, from + 4L * i, Lanes.ORDER)
          .intoArray(target, to + i);
    }
  }

  /**
   * Copies columns narrower than a vector by whole vectors: what is too much is overwritten by the
   * next column, and the columns at the end, which must not be too much, go one by one.
   */
  private static void copyNarrow(Matrix panel, int width, float[] target, int at) {
    MemorySegment source = panel.segment();
    long start = panel.at(0, 0);
    long step = panel.columnStride() * Float.BYTES;
    int last = Math.max(0, panel.columns() - Lanes.COUNT / width - 1);
    for (int k = 0; k < last; k++) {
      Lanes.load(source, start + k * step).intoArray(target, at + k * width);
    }
    copy(panel.block(0, width, last, panel.columns()), width, target, at + last * width);
  }

  private static void copy(Matrix panel, int width, float[] target, int at) {
    MemorySegment source = panel.segment();
    int rows = panel.rows();
    for (int k = 0; k < panel.columns(); k++) {
      long from = panel.at(0, k);
      int to = at + k * width;
      for (int i = 0; i < rows; i++) {
        target[to + i] = source.get(Lanes.FLOAT, from + i * 4L);
      }
    }
  }

  private static void transpose(Matrix panel, int width, float[] target, int at) {
    int depth = panel.columns();
    int quads = panel.rows() / 4 * 4;
    for (int start = 0; start < depth; start += STRETCH) {
      int end = Math.min(depth, start + STRETCH);
      int whole = end - (end - start) % 4;
      for (int i = 0; i < quads; i += 4) {
        transposeQuads(panel, i, start, whole, width, target, at);
      }
      copyElements(panel, 0, quads, whole, end, width, target, at);
      copyElements(panel, quads, panel.rows(), start, end, width, target, at);
    }
  }

  /** Four rows, four columns at a time: a store then moves four elements instead of one. */
  private static void transposeQuads(
      Matrix panel, int row, int start, int end, int width, float[] target, int at) {
    MemorySegment source = panel.segment();
    Lanes.requireNative(source);
    long from = panel.at(row, 0);
    long step = panel.rowStride() * Float.BYTES;
    for (int k = start; k < end; k += 4) {
      long column = from + 4L * k;
      FloatVector a = Quad.load(source, column);
      FloatVector b = Quad.load(source, column + step);
      FloatVector c = Quad.load(source, column + 2 * step);
      FloatVector d = Quad.load(source, column + 3 * step);
      FloatVector ab = a.blend(b.rearrange(Quad.PAIRS), Quad.ODD);
      FloatVector ba = a.rearrange(Quad.PAIRS).blend(b, Quad.ODD);
      FloatVector cd = c.blend(d.rearrange(Quad.PAIRS), Quad.ODD);
      FloatVector dc = c.rearrange(Quad.PAIRS).blend(d, Quad.ODD);
      int to = at + k * width + row;
      ab.blend(cd.rearrange(Quad.HALVES), Quad.UPPER).intoArray(target, to);
      ba.blend(dc.rearrange(Quad.HALVES), Quad.UPPER).intoArray(target, to + width);
      ab.rearrange(Quad.HALVES).blend(cd, Quad.UPPER).intoArray(target, to + 2 * width);
      ba.rearrange(Quad.HALVES).blend(dc, Quad.UPPER).intoArray(target, to + 3 * width);
    }
  }

  private static void copyElements(
      Matrix panel, int row, int rows, int start, int end, int width, float[] target, int at) {
    MemorySegment source = panel.segment();
    for (int i = row; i < rows; i++) {
      long from = panel.at(i, 0);
      for (int k = start; k < end; k++) {
        target[at + k * width + i] = source.get(Lanes.FLOAT, from + k * 4L);
      }
    }
  }

  /** Vectors of four floats, and the exchanges that transpose four of them. */
  private static final class Quad {
    static final VectorSpecies<Float> F = FloatVector.SPECIES_128;
    static final VectorShuffle<Float> PAIRS = VectorShuffle.fromValues(F, 1, 0, 3, 2);
    static final VectorShuffle<Float> HALVES = VectorShuffle.fromValues(F, 2, 3, 0, 1);
    static final VectorMask<Float> ODD = VectorMask.fromLong(F, 0b1010);
    static final VectorMask<Float> UPPER = VectorMask.fromLong(F, 0b1100);

    private Quad() {}

    static FloatVector load(MemorySegment segment, long offset) {
      return FloatVector.fromMemorySegment(F, segment, offset, Lanes.ORDER);
    }
  }

  private static void clearTriangle(
      Matrix a, int r, int rows, int from, int to, int width, float[] target, int at) {
    if (a.triangle() == Triangle.FULL) {
      return;
    }
    boolean lower = a.triangle() == Triangle.LOWER;
    for (int k = Math.max(from, r); k < Math.min(to, r + rows); k++) {
      for (int i = 0; i < rows; i++) {
        if (lower ? k > r + i : k < r + i) {
          target[at + (k - from) * width + i] = 0f;
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
