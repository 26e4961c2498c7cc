package dev.gptq.simd;

import dev.gptq.simd.Gemm.Part;
import dev.gptq.simd.Matrix.Triangle;
import dev.gptq.simd.kernels.DenseKernels;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/**
 * The product of {@link Gemm} with panels and tiles by kernels outside of Java. Slices are as deep
 * as there, so that the bits are the same; blocks of A, which are the tasks, are multiples of the
 * kernels' tile.
 */
final class OutsideGemm {
  private final WorkerPool pool;
  private final DenseKernels kernels;
  private final float alpha;
  private final Matrix a;
  private final Matrix bt;
  private final float beta;
  private final Matrix c;
  private final Part part;
  private final int m;
  private final int n;
  private final int k;
  private final int depth;
  private final int slice;
  private final int block;
  private final int blocks;
  private final int chunk;
  private final MemorySegment[] packedA;
  private final MemorySegment packedB;
  private final MemorySegment[] converted;

  OutsideGemm(
      WorkerPool pool,
      Workspace workspace,
      DenseKernels kernels,
      float alpha,
      Matrix a,
      Matrix bt,
      float beta,
      Matrix c,
      Part part) {
    this.pool = pool;
    this.kernels = kernels;
    this.alpha = alpha;
    this.a = a;
    this.bt = bt;
    this.beta = beta;
    this.c = c;
    this.part = part;
    m = c.rows();
    n = c.columns();
    k = a.columns();
    depth = Gemm.depth(k);
    slice = Gemm.slice(n, kernels.columns());
    block = Gemm.blockRows(m, kernels.rows(), pool.workers(), part);
    blocks = (m + block - 1) / block;
    chunk = 8 * kernels.columns();
    int workers = pool.workers();
    packedA = workspace.get(Workspace.Use.PANELS_A, workers, 4L * block * depth);
    packedB = workspace.get(Workspace.Use.PANELS_B, 1, 4L * slice * depth)[0];
    boolean converts = a.type() != DType.F32 || bt.type() != DType.F32;
    long runs = converts ? Math.max(block, chunk) : 0;
    converted = workspace.get(Workspace.Use.CONVERTED, workers, 4 * runs * depth);
  }

  /** Whether a product is one for these kernels: a whole one, of which something is to be added. */
  static boolean serves(float alpha, Matrix a, Matrix b, Matrix c) {
    return alpha != 0
        && c.rows() > 0
        && a.columns() > 0
        && a.triangle() == Triangle.FULL
        && b.triangle() == Triangle.FULL
        && c.rowsContiguous();
  }

  void run() {
    for (int j = 0; j < n; j += slice) {
      for (int p = 0; p < k; p += depth) {
        step(j, Math.min(n, j + slice), p, Math.min(k, p + depth));
      }
    }
  }

  private void step(int j0, int j1, int k0, int k1) {
    int chunks = (j1 - j0 + chunk - 1) / chunk;
    pool.forEach(
        chunks,
        (i, worker) -> {
          int from = j0 + i * chunk;
          int to = Math.min(j1, from + chunk);
          Matrix columns = Packing.floats(bt.block(from, to, k0, k1), converted[worker]);
          Rows panels = panels(packedB, from - j0, k1 - k0);
          kernels.packB(rows(columns), columns.columnStride(), to - from, k1 - k0, panels);
        });
    // Few rows leave workers idle unless they share the columns.
    int strips = Math.max(1, Math.min(pool.workers() / blocks, chunks));
    int unit = kernels.columns();
    int width = ((j1 - j0 + strips - 1) / strips + unit - 1) / unit * unit;
    pool.forEach(
        blocks * strips,
        (i, worker) -> {
          // The lowest blocks of a triangle are the longest: first come, best balanced.
          int r0 = (blocks - 1 - i / strips) * block;
          int r1 = Math.min(m, r0 + block);
          int from = j0 + i % strips * width;
          int to = Math.min(part == Part.LOWER ? Math.min(j1, r1) : j1, from + width);
          if (r0 < r1 && from < to) {
            multiplyBlock(r0, r1, j0, from, to, k0, k1, worker);
          }
        });
  }

  private void multiplyBlock(
      int r0, int r1, int first, int j0, int j1, int k0, int k1, int worker) {
    Matrix rows = Packing.floats(a.block(r0, r1, k0, k1), converted[worker]);
    Rows panelsA = panels(packedA[worker], 0, k1 - k0);
    kernels.packA(rows(rows), rows.columnStride(), r1 - r0, k1 - k0, panelsA);
    kernels.multiply(
        alpha,
        panelsA,
        panels(packedB, j0 - first, k1 - k0),
        r1 - r0,
        j1 - j0,
        k1 - k0,
        // The first sums take the place of β·C, later ones are added.
        k0 == 0 ? beta : 1,
        rows(c.block(r0, r1, j0, j1)),
        part == Part.LOWER ? r0 - (long) j0 : n);
  }

  private static Rows panels(MemorySegment packed, long column, int depth) {
    return new Rows(packed.asSlice(4 * column * depth), depth);
  }

  private static Rows rows(Matrix m) {
    return new Rows(m.segment().asSlice(m.at(0, 0)), m.rowStride());
  }
}
