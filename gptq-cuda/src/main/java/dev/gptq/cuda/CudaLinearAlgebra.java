package dev.gptq.cuda;

import dev.gptq.backend.LinearAlgebra;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;

/** Dense linear algebra: cuBLAS, cuSOLVER and small kernels. */
final class CudaLinearAlgebra implements LinearAlgebra {
  private static final int TILE = 32;

  /** Columns of the Gram matrix that one product covers. */
  private static final int GRAM_COLUMNS = 2048;

  /** DOT_SLICES of rows.cu. */
  private static final int DOT_SLICES = 16;

  private static final int MAX_GRID_Y = 65535;

  private final CudaContext context;
  private final Kernels kernels;
  private final MatrixProducts products;

  private final Sums sums;
  private final QuadraticTraces traces;
  private final Cholesky cholesky;
  private final TriangularInverse triangularInverse;

  CudaLinearAlgebra(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
    this.products = new MatrixProducts(context);
    this.sums = new Sums(context);
    this.traces = new QuadraticTraces(context, sums, QuadraticTraces.WORK);
    this.cholesky = new Cholesky(context);
    this.triangularInverse = new TriangularInverse(context);
  }

  @Override
  public void gemm(float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    products.gemm(alpha, context.tensor(a), context.tensor(b), beta, context.tensor(c), "gemm");
  }

  @Override
  public void gemmBatch(int count, float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    products.gemmBatch(
        count, alpha, context.tensor(a), context.tensor(b), beta, context.tensor(c), "gemmBatch");
  }

  @Override
  public void accumulateGram(float weight, Tensor x, Tensor h) {
    if (x.rows() == 0) {
      return;
    }
    CudaTensor xt = products.withZeros(context.tensor(x), "accumulateGram");
    CudaTensor ht = context.tensor(h);
    int n = xt.columns();
    // Only the blocks on and below the diagonal.
    for (int from = 0; from < n; from += GRAM_COLUMNS) {
      int to = Math.min(n, from + GRAM_COLUMNS);
      products.gemm(
          weight,
          xt.columns(from, to).transposed(),
          xt.columns(0, to),
          1,
          ht.rows(from, to).columns(0, to),
          "accumulateGram");
    }
  }

  @Override
  public void symmetrize(Tensor h) {
    CudaTensor t = context.tensor(h);
    if (!t.isEmpty()) {
      kernels.arguments().add(t);
      launch("symmetrize", Geometry.tiles(t.rows(), t.rows(), TILE, 8));
    }
  }

  @Override
  public void diagonal(Tensor h, Tensor d) {
    CudaTensor t = context.tensor(h);
    kernels.arguments().add(t).add(context.tensor(d));
    if (!t.isEmpty()) {
      launch("diagonal", Elementwise.over(t.rows()));
    }
  }

  @Override
  public void addToDiagonal(Tensor d, Tensor h) {
    CudaTensor t = context.tensor(h);
    kernels.arguments().add(context.tensor(d)).add(t);
    if (!t.isEmpty()) {
      launch("addToDiagonal", Elementwise.over(t.rows()));
    }
  }

  @Override
  public void gatherColumns(Tensor src, Tensor index, Tensor dst) {
    CudaTensor s = context.tensor(src);
    CudaTensor d = context.tensor(dst);
    kernels.arguments().add(s).add(context.tensor(index)).add(d);
    if (!d.isEmpty()) {
      boolean alongRows = d.columnStride() == 1;
      int runs = alongRows ? d.rows() : d.columns();
      int length = alongRows ? d.columns() : d.rows();
      kernels.launch(
          KernelImages.TOLERANT,
          s.type() == DType.U8 ? "gatherColumns_u8" : "gatherColumns_f32",
          Geometry.of(runs, Math.ceilDiv(length, Elementwise.COLUMNS), Elementwise.THREADS),
          "gatherColumns");
    }
  }

  @Override
  public void gatherSymmetric(Tensor h, Tensor index, Tensor dst) {
    CudaTensor d = context.tensor(dst);
    CudaTensor rows = d.isRowMajor() ? d : d.transposed();
    kernels.arguments().add(context.tensor(h)).add(context.tensor(index)).add(rows);
    if (!d.isEmpty()) {
      launch("gatherSymmetric", Elementwise.over(rows));
    }
  }

  @Override
  public void zeroColumns(Tensor index, Tensor w) {
    CudaTensor i = context.tensor(index);
    CudaTensor t = context.tensor(w);
    kernels.arguments().add(i).add(t);
    if (!i.isEmpty() && !t.isEmpty()) {
      launch(
          "zeroColumns",
          Geometry.of(
              i.columns(), Math.ceilDiv(t.rows(), Elementwise.COLUMNS), Elementwise.THREADS));
    }
  }

  @Override
  public void cholesky(Tensor h) {
    cholesky.compute(context.tensor(h));
  }

  @Override
  public void invertDiagonalBlocks(Tensor v, Tensor u) {
    triangularInverse.compute(context.tensor(v), context.tensor(u));
  }

  @Override
  public void addSumOfSquares(Tensor x, Tensor total) {
    sums.add("sumOfSquares", context.tensor(x), context.tensor(total), "addSumOfSquares");
  }

  @Override
  public void addTraceQuadratic(Tensor a, Tensor h, Tensor total) {
    traces.add(context.tensor(a), context.tensor(h), context.tensor(total));
  }

  @Override
  public void addNonFiniteCount(Tensor x, Tensor total) {
    sums.add("countNonFinite", context.tensor(x), context.tensor(total), "addNonFiniteCount");
  }

  @Override
  public void axpy(float alpha, Tensor x, Tensor y) {
    CudaTensor xt = context.tensor(x);
    CudaTensor yt = context.tensor(y);
    CudaTensor rows = alongRows(yt);
    kernels.arguments().add(alpha).add(yt.isRowMajor() ? xt : xt.transposed()).add(rows);
    if (!yt.isEmpty()) {
      launch("axpy", Elementwise.over(rows));
    }
  }

  @Override
  public void convert(Tensor src, Tensor dst) {
    CudaTensor s = context.tensor(src);
    CudaTensor d = context.tensor(dst);
    if (d.isEmpty()) {
      return;
    }
    if (!d.isRowMajor()) {
      s = s.transposed();
      d = d.transposed();
    }
    kernels.arguments().add(s).add(d);
    boolean alike = s.columnStride() == 1;
    Geometry geometry =
        alike
            ? Elementwise.overRuns(d)
            : Geometry.of(Math.ceilDiv(d.rows(), TILE), Math.ceilDiv(d.columns(), TILE), TILE)
                .withBlockY(8);
    String kernel = alike ? "convertRows" : "convert";
    kernels.launch(KernelImages.TOLERANT, kernel, geometry, "convert");
  }

  private static CudaTensor alongRows(CudaTensor t) {
    return t.isRowMajor() ? t : t.transposed();
  }

  private void launch(String operation, Geometry geometry) {
    kernels.launch(KernelImages.TOLERANT, operation, geometry, operation);
  }

  @Override
  public void rowDots(Tensor a, Tensor b, Tensor out) {
    CudaTensor o = context.tensor(out);
    kernels.arguments().add(context.tensor(a)).add(context.tensor(b)).add(o);
    if (!o.isEmpty()) {
      launch(
          "rowDots",
          Geometry.of(Math.ceilDiv(o.rows(), TILE), Math.min(o.columns(), MAX_GRID_Y), TILE)
              .withBlockY(DOT_SLICES));
    }
  }

  @Override
  public void replaceRows(Tensor challenger, Tensor incumbent, Tensor from, Tensor to) {
    CudaTensor t = context.tensor(to);
    kernels
        .arguments()
        .add(context.tensor(challenger))
        .add(context.tensor(incumbent))
        .add(context.tensor(from))
        .add(t);
    if (!t.isEmpty()) {
      kernels.launch(
          KernelImages.TOLERANT,
          t.type() == DType.U8 ? "replaceRows_u8" : "replaceRows_f32",
          Geometry.of(
              Math.ceilDiv(t.rows(), Elementwise.THREADS),
              Math.min(t.columns(), MAX_GRID_Y),
              Elementwise.THREADS),
          "replaceRows");
    }
  }
}
