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
final class OutsideGemm implements Slices.Work {
  private final WorkerPool pool;
  private final DenseKernels kernels;
  private final float alpha;
  private final Matrix a;
  private final Matrix bt;
  private final float beta;
  private final Matrix c;
  private final Part part;
  private final Slices slices;
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
    int workers = pool.workers();
    slices = Slices.of(c, a.columns(), kernels.rows(), kernels.columns(), workers, part);
    long depth = 4L * slices.depth();
    packedA = workspace.get(Workspace.Use.PANELS_A, workers, slices.block() * depth);
    packedB = workspace.get(Workspace.Use.PANELS_B, 1, slices.width() * depth)[0];
    boolean converts = a.type() != DType.F32 || bt.type() != DType.F32;
    long runs = converts ? Math.max(slices.block(), slices.chunk()) : 0;
    converted = workspace.get(Workspace.Use.CONVERTED, workers, runs * depth);
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
    slices.run(pool, this);
  }

  @Override
  public void pack(int first, int from, int to, int k0, int k1, int worker) {
    Matrix columns = Packing.floats(bt.block(from, to, k0, k1), converted[worker]);
    Rows panels = panels(packedB, from - first, k1 - k0);
    kernels.packB(rows(columns), columns.columnStride(), to - from, k1 - k0, panels);
  }

  @Override
  public void multiply(int r0, int r1, int first, int from, int end, int k0, int k1, int worker) {
    int to = part == Part.LOWER ? Math.min(end, r1) : end;
    if (from >= to) {
      return;
    }
    Matrix rows = Packing.floats(a.block(r0, r1, k0, k1), converted[worker]);
    Rows panelsA = panels(packedA[worker], 0, k1 - k0);
    kernels.packA(rows(rows), rows.columnStride(), r1 - r0, k1 - k0, panelsA);
    kernels.multiply(
        alpha,
        panelsA,
        panels(packedB, from - first, k1 - k0),
        r1 - r0,
        to - from,
        k1 - k0,
        // The first sums take the place of β·C, later ones are added.
        k0 == 0 ? beta : 1,
        rows(c.block(r0, r1, from, to)),
        part == Part.LOWER ? r0 - (long) from : c.columns());
  }

  private static Rows panels(MemorySegment packed, long column, int depth) {
    return new Rows(packed.asSlice(4 * column * depth), depth);
  }

  private static Rows rows(Matrix m) {
    return new Rows(m.segment().asSlice(m.at(0, 0)), m.rowStride());
  }
}
