package dev.gptq.simd;

import java.lang.foreign.MemorySegment;

/**
 * The column loop with several partial solutions a row, see {@link
 * dev.gptq.backend.QuantizationOps#beamBlock}. Rows are taken in strips, so that columns far apart
 * in memory are read by whole cache lines; each row runs by itself in {@link BeamRow}.
 */
final class BeamStrips {
  private static final int ROWS = ColumnStrips.ROWS;
  private static final long BYTES = 4L * ROWS;

  private final Matrix w;
  private final Matrix cost;
  private final Matrix codes;
  private final Matrix source;
  private final int n;
  private final int rows;
  private final int paths;

  private BeamStrips(Matrix w, Matrix cost, Matrix codes, Matrix source) {
    this.w = w;
    this.cost = cost;
    this.codes = codes;
    this.source = source;
    this.n = w.columns();
    this.rows = cost.rows();
    this.paths = cost.columns();
  }

  static void run(
      Execution execution,
      Matrix w,
      Matrix cost,
      Matrix u,
      GridView grid,
      Matrix codes,
      Matrix source) {
    BeamStrips loop = new BeamStrips(w, cost, codes, source);
    int n = w.columns();
    int paths = cost.columns();
    int workers = execution.pool().workers();
    long stride = BeamRow.stride(n);
    MemorySegment factor = execution.workspace().get(Workspace.Use.PANELS_B, 1, 4 * stride * n)[0];
    packUpper(u, stride, factor);
    MemorySegment[] strips =
        execution
            .workspace()
            .get(Workspace.Use.STRIP, workers, (BYTES + ROWS) * n * paths + 2 * BYTES);
    MemorySegment[] beams =
        execution.workspace().get(Workspace.Use.BEAM, workers, BeamRow.bytes(n, paths));
    execution
        .pool()
        .forEach(
            (loop.rows + ROWS - 1) / ROWS,
            (i, worker) ->
                loop.strip(
                    i * ROWS, strips[worker], new BeamRow(n, paths, grid, factor, beams[worker])));
  }

  /** See {@link dev.gptq.backend.QuantizationOps#keepDescendants}. */
  static void keepDescendants(Matrix origin, Matrix cost) {
    int m = cost.rows();
    for (int p = 1; p < cost.columns(); p++) {
      for (int r = 0; r < m; r++) {
        int own = origin.segment().get(Lanes.INT, origin.at(0, p * m + r));
        if (own != origin.segment().get(Lanes.INT, origin.at(0, r))) {
          cost.segment().set(Lanes.FLOAT, cost.at(r, p), Float.POSITIVE_INFINITY);
        }
      }
    }
  }

  /** Rows of {@code stride} floats; zeros below the diagonal and beyond the matrix. */
  private static void packUpper(Matrix u, long stride, MemorySegment factor) {
    int n = u.columns();
    for (int j = 0; j < n; j++) {
      for (int k = 0; k < stride; k++) {
        float value = k >= j && k < n ? u.segment().get(Lanes.FLOAT, u.at(j, k)) : 0f;
        factor.set(Lanes.FLOAT, 4 * (j * stride + k), value);
      }
    }
  }

  private void strip(int first, MemorySegment strip, BeamRow beam) {
    int count = Math.min(ROWS, rows - first);
    long bytes = BYTES * n * paths;
    for (int p = 0; p < paths; p++) {
      Strips.load(w, p * rows + first, count, strip.asSlice(BYTES * n * p, BYTES * n));
    }
    for (int r = 0; r < count; r++) {
      for (int p = 0; p < paths; p++) {
        beam.start(p, cost.segment().get(Lanes.FLOAT, cost.at(first + r, p)), strip, at(p, r));
      }
      beam.run(first + r);
      for (int p = 0; p < paths; p++) {
        cost.segment().set(Lanes.FLOAT, cost.at(first + r, p), beam.cost(p));
        int row = beam.origin(p) * rows + first + r;
        source.segment().set(Lanes.INT, source.at(0, p * rows + first + r), row);
        beam.finish(p, strip, at(p, r), bytes + (long) p * n * ROWS + r);
      }
    }
    for (int p = 0; p < paths; p++) {
      int row = p * rows + first;
      Strips.store(strip.asSlice(BYTES * n * p, BYTES * n), w, row, count);
      for (int j = 0; j < n; j++) {
        long from = bytes + ((long) p * n + j) * ROWS;
        MemorySegment.copy(strip, from, codes.segment(), codes.index(row, j), count);
      }
    }
  }

  /** Byte offset of a row of a path in its strip; columns are BYTES apart. */
  private long at(int path, int row) {
    return BYTES * n * path + 4L * row;
  }
}
