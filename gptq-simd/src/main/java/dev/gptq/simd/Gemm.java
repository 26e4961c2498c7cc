package dev.gptq.simd;

import dev.gptq.simd.kernels.DenseKernels;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;

/**
 * The matrix product {@code C ← α·A·B + β·C} for operands of any layout, of which one may be
 * triangular and of whose result the lower triangle may be enough. The order of the loops follows
 * Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication: a slice of B is packed
 * once for all workers, blocks of A are the tasks, and a tile of C stays in registers.
 */
final class Gemm {
  private static final int ROWS = GemmKernel.ROWS;
  private static final int COLUMNS = GemmKernel.COLUMNS;

  // Deep slices, because each one reads and writes all of C; Java cannot prefetch it. The depth is
  // the same with any cache, because it decides in what order a sum is added.
  private static final int DEPTH = Lanes.BYTES == 64 ? 704 : 512;
  private static final int DEPTH_UNIT = 16;

  // A block of A takes half of a core's second-level cache: the more rows, the less often all of B
  // comes from memory. A group of panels of B takes a quarter; within it tiles run along the rows
  // of C, an order that the processor does prefetch.
  private static final int GROUP = fitting(SecondLevelCache.BYTES / 4, COLUMNS);
  private static final int SLICE = 4096;

  /** Rows or columns of which a slice takes that many bytes at most, in multiples of a unit. */
  private static int fitting(long bytes, int unit) {
    return (int) Math.max(1, bytes / ((long) Float.BYTES * DEPTH * unit)) * unit;
  }

  /** Which part of C is wanted; the rest may be overwritten too. */
  enum Part {
    ALL,
    LOWER
  }

  /** Supplies panels of B; see {@link #multiply(float, Matrix, Panels, float, Matrix)}. */
  interface Panels {
    /**
     * Packs columns j0 … j1 − 1 of rows k0 … k1 − 1 into panels of COLUMNS columns, {@code
     * COLUMNS·(k1 − k0)} floats each.
     */
    void pack(int j0, int j1, int k0, int k1, float[] target, int start);
  }

  private final WorkerPool pool;
  private final Workspace workspace;

  private final Optional<DenseKernels> kernels;

  /** With the innermost parts in Java, or by kernels outside of it. */
  Gemm(WorkerPool pool, Workspace workspace, Optional<DenseKernels> kernels) {
    this.pool = pool;
    this.workspace = workspace;
    this.kernels = kernels;
  }

  /** {@code C ← α·A·B + β·C}. */
  void multiply(float alpha, Matrix a, Matrix b, float beta, Matrix c) {
    multiply(alpha, a, b, beta, c, Part.ALL);
  }

  /** {@code C ← α·A·B + β·C}, at least in the given part of C. */
  void multiply(float alpha, Matrix a, Matrix b, float beta, Matrix c, Part part) {
    if (c.type() != DType.F32) {
      rounded(alpha, a, b, beta, c);
    } else if (!c.rowsContiguous() && part == Part.ALL) {
      multiply(alpha, b.transposed(), a.transposed(), beta, c.transposed(), part);
    } else if (part == Part.ALL && Gemv.serves(a, b.transposed(), c)) {
      Gemv.run(pool, alpha, a, b.transposed(), beta, c);
    } else if (part == Part.ALL && Gevm.serves(a, b, c)) {
      Gevm.run(pool, alpha, a, b, beta, c);
    } else if (kernels.isPresent() && OutsideGemm.serves(alpha, a, b, c)) {
      new OutsideGemm(pool, workspace, kernels.get(), alpha, a, b.transposed(), beta, c, part)
          .run();
    } else {
      new Product(alpha, a, b.transposed(), null, beta, c, part).run();
    }
  }

  /** {@code C ← α·A·B + β·C} with B of {@code a.columns} rows from a source of packed panels. */
  void multiply(float alpha, Matrix a, Panels b, float beta, Matrix c) {
    new Product(alpha, a, null, b, beta, c, Part.ALL).run();
  }

  /** Sums in float32, then rounds once to the 16-bit type of C. */
  private void rounded(float alpha, Matrix a, Matrix b, float beta, Matrix c) {
    Matrix target = c.rowsContiguous() ? c : c.transposed();
    MemorySegment sums = workspace.get(Workspace.Use.RESULT, 1, 4L * c.rows() * c.columns())[0];
    Matrix result = Matrix.rowMajor(sums, target.rows(), target.columns());
    if (beta != 0) {
      for (int r = 0; r < target.rows(); r++) {
        Conversion.toFloat(
            c.type(), c.segment(), target.index(r, 0), sums, result.index(r, 0), target.columns());
      }
    }
    multiply(alpha, a, b, beta, c.rowsContiguous() ? result : result.transposed(), Part.ALL);
    for (int r = 0; r < target.rows(); r++) {
      Conversion.fromFloat(
          sums, result.index(r, 0), c.type(), c.segment(), target.index(r, 0), target.columns());
    }
  }

  /** The depth of equal slices of a product. */
  static int depth(int k) {
    return share(k, DEPTH, DEPTH_UNIT);
  }

  /** The width of equal slices of a product's columns, in multiples of a tile's. */
  static int slice(int n, int unit) {
    return share(n, SLICE, unit);
  }

  /** The size of equal parts of a whole, none larger than most, in multiples of a unit. */
  private static int share(int whole, int most, int unit) {
    int parts = Math.max(1, (whole + most - 1) / most);
    return ((whole + parts - 1) / parts + unit - 1) / unit * unit;
  }

  /**
   * Rows of a block of A, in multiples of a tile's: as many as the cache takes, fewer to give every
   * worker its share.
   */
  static int blockRows(int m, int unit, int workers, Part part) {
    int share = workers * (part == Part.LOWER ? 4 : 1);
    int most = fitting(SecondLevelCache.BYTES / 2, unit);
    // Blocks of less are uneven by a tile more or less; the workers share the columns then.
    int least = Math.max(1, (m + most - 1) / most);
    int count = Math.max(least, Math.min(share, m / (10 * unit)));
    if (count > workers) {
      count = (count + workers - 1) / workers * workers;
    }
    int rows = (m + count - 1) / count;
    return Math.max(unit, (rows + unit - 1) / unit * unit);
  }

  /** One product: operands, and the scratch it runs in. */
  private final class Product implements Slices.Work {
    private final float alpha;
    private final Matrix a;
    private final Matrix bt;
    private final Panels panels;
    private final float beta;
    private final Matrix c;
    private final Part part;
    private final Slices slices;
    private final float[][] packedA;
    private final float[] packedB;
    private final int startB;
    private final float[][] tile;
    private final int[] tileStart;
    private final MemorySegment[] converted;

    Product(float alpha, Matrix a, Matrix bt, Panels panels, float beta, Matrix c, Part part) {
      this.alpha = alpha;
      this.a = a;
      this.bt = bt;
      this.panels = panels;
      this.beta = beta;
      this.c = c;
      this.part = part;
      int workers = pool.workers();
      slices = Slices.of(c, a.columns(), ROWS, COLUMNS, workers, part);
      int depth = slices.depth();
      packedA = workspace.floats(Workspace.Use.PANELS_A, workers, slices.block() * depth);
      int floats = slices.width() * depth + ArrayAlignment.SLACK;
      packedB = workspace.floats(Workspace.Use.PANELS_B, 1, floats)[0];
      startB = ArrayAlignment.first(packedB);
      tile = workspace.floats(Workspace.Use.TILE, workers, ROWS * COLUMNS + ArrayAlignment.SLACK);
      tileStart = Arrays.stream(tile).mapToInt(ArrayAlignment::first).toArray();
      long runs = Math.max(slices.block(), slices.chunk());
      converted = workspace.get(Workspace.Use.CONVERTED, workers, 4 * runs * depth);
    }

    void run() {
      if (slices.m() == 0 || slices.k() == 0 || alpha == 0) {
        Packing.scale(c, beta);
        return;
      }
      slices.run(pool, this);
    }

    @Override
    public void pack(int first, int from, int to, int k0, int k1, int worker) {
      int start = startB + (from - first) * (k1 - k0);
      if (panels != null) {
        panels.pack(from, to, k0, k1, packedB, start);
      } else {
        Packing.pack(bt, from, to, k0, k1, COLUMNS, k1 - k0, converted[worker], packedB, start);
      }
    }

    @Override
    public void multiply(int r0, int r1, int first, int j0, int j1, int k0, int k1, int worker) {
      if (k1 <= Packing.first(a, r0)
          || k0 >= Packing.last(a, r1)
          || (part == Part.LOWER && j0 >= r1)) {
        return;
      }
      float[] rows = packedA[worker];
      Packing.pack(a, r0, r1, k0, k1, ROWS, k1 - k0, converted[worker], rows, 0);
      for (int group = j0; group < j1; group += GROUP) {
        int end = Math.min(j1, group + GROUP);
        for (int r = r0; r < r1; r += ROWS) {
          for (int j = group; j < end; j += COLUMNS) {
            if (part == Part.ALL || j < r + ROWS) {
              int panelA = (r - r0) * (k1 - k0);
              int panelB = (j - first) * (k1 - k0);
              multiplyTile(r, Math.min(ROWS, r1 - r), j, k0, k1, panelA, panelB, worker);
            }
          }
        }
      }
    }

    private void multiplyTile(
        int r, int height, int j, int k0, int k1, int panelA, int panelB, int worker) {
      int columns = Math.min(COLUMNS, c.columns() - j);
      int first = Packing.first(a, r);
      int to = Math.min(k1, Packing.last(a, r + height));
      if (bt != null) {
        first = Math.max(first, Packing.first(bt, j));
        to = Math.min(to, Packing.last(bt, j + columns));
      }
      int from = Math.max(k0, first);
      if (from >= to) {
        return;
      }
      // The first sums of a tile take the place of β·C, later ones are added.
      float factor = first >= k0 ? beta : 1;
      float[] sums = tile[worker];
      int at = tileStart[worker];
      int atA = panelA + (from - k0) * ROWS;
      int atB = startB + panelB + (from - k0) * COLUMNS;
      GemmKernel.tile(packedA[worker], atA, packedB, atB, to - from, sums, at);
      GemmKernel.write(
          alpha, sums, at, factor, c.segment(), c.at(r, j), 4 * c.rowStride(), height, columns);
    }
  }
}
