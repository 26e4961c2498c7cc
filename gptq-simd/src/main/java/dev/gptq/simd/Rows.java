package dev.gptq.simd;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;

/** Work on the rows of matrices with contiguous columns. */
final class Rows {
  // Rows of a task: its sums stay in the first-level cache while the columns stream by.
  private static final int BLOCK = 512;
  // Columns of a partial sum, so that rounding grows with the parts and not with the columns.
  private static final int PART = 64;

  private Rows() {}

  /** The matrix of a tensor; a column out of a row-major matrix is not contiguous. */
  static Matrix columns(String name, Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    if (m.rowStride() != 1 && m.rows() > 1) {
      throw new IllegalArgumentException(
          name + " is a column of a row-major matrix; copy it to contiguous memory first");
    }
    return m;
  }

  /** {@code out[i][h] ← Σ a[i][j]·b[i][j]} over the h-th run of columns j. */
  static void dots(Execution execution, Matrix a, Matrix b, Matrix out) {
    int run = a.columns() / out.columns();
    MemorySegment[] scratch =
        execution.workspace().get(Workspace.Use.STRIP, execution.pool().workers(), 8L * BLOCK);
    int blocks = (a.rows() + BLOCK - 1) / BLOCK;
    execution
        .pool()
        .forEach(
            blocks * out.columns(),
            (i, worker) -> {
              int row = i % blocks * BLOCK;
              int rows = Math.min(BLOCK, a.rows() - row);
              int h = i / blocks;
              Matrix as = a.block(row, row + rows, h * run, (h + 1) * run);
              Matrix bs = b.block(row, row + rows, h * run, (h + 1) * run);
              dots(as, bs, scratch[worker]);
              MemorySegment.copy(scratch[worker], 0, out.segment(), out.at(row, h), 4L * rows);
            });
  }

  /** The sums of a block at the start of the scratch, the partial sums behind them. */
  private static void dots(Matrix a, Matrix b, MemorySegment scratch) {
    long bytes = 4L * BLOCK;
    scratch.asSlice(0, bytes).fill((byte) 0);
    for (int first = 0; first < a.columns(); first += PART) {
      scratch.asSlice(bytes, bytes).fill((byte) 0);
      for (int j = first; j < Math.min(a.columns(), first + PART); j++) {
        addProducts(a, b, j, scratch, bytes);
      }
      for (long at = 0; at < bytes; at += Lanes.BYTES) {
        FloatVector part = Lanes.load(scratch, bytes + at);
        Lanes.store(Lanes.load(scratch, at).add(part), scratch, at);
      }
    }
  }

  private static void addProducts(Matrix a, Matrix b, int j, MemorySegment sums, long offset) {
    int rows = a.rows();
    long as = a.at(0, j);
    long bs = b.at(0, j);
    int r = 0;
    for (; r <= rows - Lanes.COUNT; r += Lanes.COUNT) {
      FloatVector x = Lanes.load(a.segment(), as + 4L * r);
      FloatVector y = Lanes.load(b.segment(), bs + 4L * r);
      Lanes.store(x.fma(y, Lanes.load(sums, offset + 4L * r)), sums, offset + 4L * r);
    }
    for (; r < rows; r++) {
      float x = a.segment().get(Lanes.FLOAT, as + 4L * r);
      float y = b.segment().get(Lanes.FLOAT, bs + 4L * r);
      float old = sums.get(Lanes.FLOAT, offset + 4L * r);
      sums.set(Lanes.FLOAT, offset + 4L * r, Math.fma(x, y, old));
    }
  }

  /** The rows in which {@code x < y}; both have one column. */
  static int[] below(Matrix x, Matrix y) {
    return IntStream.range(0, x.rows())
        .filter(r ->
            x.segment().get(Lanes.FLOAT, x.at(r, 0)) < y.segment().get(Lanes.FLOAT, y.at(r, 0)))
        .toArray();
  }

  /** {@code to[r, :] ← from[r, :]} for the given rows. */
  static void copy(Execution execution, int[] rows, Matrix from, Matrix to) {
    boolean bytes = from.type() == DType.U8;
    execution.forRanges(
        from.columns(),
        16,
        (c0, c1) -> {
          for (int j = c0; j < c1; j++) {
            if (bytes) {
              copyBytes(rows, from, to, j);
            } else {
              copyFloats(rows, from, to, j);
            }
          }
        });
  }

  private static void copyBytes(int[] rows, Matrix from, Matrix to, int j) {
    for (int r : rows) {
      byte value = from.segment().get(ValueLayout.JAVA_BYTE, from.index(r, j));
      to.segment().set(ValueLayout.JAVA_BYTE, to.index(r, j), value);
    }
  }

  private static void copyFloats(int[] rows, Matrix from, Matrix to, int j) {
    for (int r : rows) {
      float value = from.segment().get(Lanes.FLOAT, from.at(r, j));
      to.segment().set(Lanes.FLOAT, to.at(r, j), value);
    }
  }
}
