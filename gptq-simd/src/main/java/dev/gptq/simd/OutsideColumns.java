package dev.gptq.simd;

import dev.gptq.simd.kernels.ColumnKernels;
import dev.gptq.simd.kernels.ColumnKernels.Grids;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import java.lang.foreign.MemorySegment;

/** {@link ColumnStrips} and {@link Nearest#subtract} by kernels outside of Java. */
final class OutsideColumns {
  // Of a worker: enough to share out evenly what the others have begun.
  private static final int TASKS = 4;

  // Columns of a task that has all rows.
  private static final int COLUMNS = 16;

  private OutsideColumns() {}

  /** Runs the block: w becomes the scaled errors, codes the codes. */
  static void quantize(
      Execution execution, ColumnKernels kernels, Matrix w, Matrix u, GridView grid, Matrix codes) {
    int workers = execution.pool().workers();
    int strips = (w.rows() + kernels.rows() - 1) / kernels.rows();
    int step = (strips + TASKS * workers - 1) / (TASKS * workers) * kernels.rows();
    MemorySegment[] scratch =
        execution.workspace().get(Workspace.Use.STRIP, workers, 4L * kernels.rows() * w.columns());
    execution
        .pool()
        .forEach(
            (w.rows() + step - 1) / step,
            (i, worker) -> {
              int row = i * step;
              kernels.quantize(
                  columns(w, row),
                  columns(u.transposed(), 0),
                  grids(grid, row, 0),
                  grid.scale().columns(),
                  columns(codes, row),
                  new Shape(Math.min(step, w.rows() - row), w.columns()),
                  scratch[worker]);
            });
  }

  /** {@code difference = w − s·(u − z)}. */
  static void subtract(
      Execution execution,
      ColumnKernels kernels,
      Matrix w,
      Matrix codes,
      GridView grid,
      Matrix difference) {
    execution.forRanges(
        w.columns(),
        COLUMNS,
        (from, to) ->
            kernels.subtract(
                columns(w.columns(from, to), 0),
                grids(grid, 0, from),
                grid.scale().columns(),
                columns(codes.columns(from, to), 0),
                columns(difference.columns(from, to), 0),
                new Shape(w.rows(), to - from)));
  }

  private static Grids grids(GridView grid, int row, int column) {
    return new Grids(
        columns(grid.scale(), row),
        columns(grid.zero(), row),
        columns(grid.groups().transposed(), column).segment(),
        grid.midRise(),
        grid.least(),
        grid.most());
  }

  private static Rows columns(Matrix m, int row) {
    return new Rows(m.segment().asSlice(m.index(row, 0) * m.type().bytes()), m.columnStride());
  }
}
