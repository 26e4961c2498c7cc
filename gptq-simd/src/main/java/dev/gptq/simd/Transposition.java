package dev.gptq.simd;

import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** Element-wise work between matrices of different layouts, in tiles that fit the cache. */
final class Transposition {
  private static final int TILE = 32;
  private static final int BLOCK = 64;

  private Transposition() {}

  /** Work on rows r0 … r1 − 1, columns c0 … c1 − 1. */
  interface Tile {
    void run(int r0, int r1, int c0, int c1);
  }

  /** Runs {@code body} on tiles that cover rows × columns. */
  static void forTiles(Execution execution, int rows, int columns, Tile body) {
    execution.forRanges(
        rows,
        TILE,
        (r0, r1) -> {
          for (int c = 0; c < columns; c += TILE) {
            body.run(r0, r1, c, Math.min(columns, c + TILE));
          }
        });
  }

  /** {@code dst ← src} between any real types and layouts. */
  static void convert(Execution execution, Matrix src, Matrix dst) {
    Matrix target = dst.rowsContiguous() ? dst : dst.transposed();
    Matrix source = dst.rowsContiguous() ? src : src.transposed();
    int width = target.columns();
    if (!source.rowsContiguous() && target.type() == DType.F32) {
      transpose(execution, source, target);
    } else if (!source.rowsContiguous()) {
      forTiles(
          execution,
          target.rows(),
          width,
          (r0, r1, c0, c1) -> {
            for (int r = r0; r < r1; r++) {
              for (int c = c0; c < c1; c++) {
                float value = Conversion.get(source.type(), source.segment(), source.index(r, c));
                Conversion.set(target.type(), target.segment(), target.index(r, c), value);
              }
            }
          });
    } else {
      MemorySegment[] run =
          execution
              .workspace()
              .get(Workspace.Use.CONVERTED, execution.pool().workers(), 4L * width);
      execution
          .pool()
          .forEach(
              target.rows(),
              (r, worker) -> {
                long from = source.index(r, 0);
                long to = target.index(r, 0);
                if (source.type() == target.type()) {
                  int bytes = source.type().bytes();
                  MemorySegment.copy(
                      source.segment(),
                      from * bytes,
                      target.segment(),
                      to * bytes,
                      (long) width * bytes);
                } else {
                  Conversion.toFloat(source.type(), source.segment(), from, run[worker], 0, width);
                  Conversion.fromFloat(run[worker], 0, target.type(), target.segment(), to, width);
                }
              });
    }
  }

  /** The way of the products: blocks are packed into panels, whose rows are those of the target. */
  private static void transpose(Execution execution, Matrix source, Matrix target) {
    Workspace workspace = execution.workspace();
    int workers = execution.pool().workers();
    float[][] panels = workspace.floats(Workspace.Use.TILE, workers, BLOCK * BLOCK);
    MemorySegment[] scratch = workspace.get(Workspace.Use.CONVERTED, workers, 4L * BLOCK * BLOCK);
    Matrix runs = source.transposed();
    execution
        .pool()
        .forEach(
            (target.rows() + BLOCK - 1) / BLOCK,
            (i, worker) -> {
              int from = i * BLOCK;
              int to = Math.min(target.rows(), from + BLOCK);
              for (int c = 0; c < target.columns(); c += BLOCK) {
                int end = Math.min(target.columns(), c + BLOCK);
                Packing.pack(
                    runs, c, end, from, to, BLOCK, to - from, scratch[worker], panels[worker], 0);
                for (int r = from; r < to; r++) {
                  MemorySegment.copy(
                      panels[worker],
                      (r - from) * BLOCK,
                      target.segment(),
                      Lanes.FLOAT,
                      target.at(r, c),
                      end - c);
                }
              }
            });
  }
}
