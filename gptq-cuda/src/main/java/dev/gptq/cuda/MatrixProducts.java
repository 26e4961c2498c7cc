package dev.gptq.cuda;

import dev.gptq.backend.RowSteps;
import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;

/**
 * Products of tensors in any layout through cuBLAS, which knows contiguous columns only. It looks
 * for a kernel for each shape it has not met, which takes 0.18 ms; so rows of activations are
 * rounded up by {@link RowSteps} where there is room behind them.
 */
final class MatrixProducts {
  private final CudaContext context;
  private final SplitProducts split;

  MatrixProducts(CudaContext context) {
    this.context = context;
    this.split = new SplitProducts(context);
  }

  /** {@code C ← α·A·B + β·C}. */
  void gemm(float alpha, CudaTensor a, CudaTensor b, float beta, CudaTensor c, String operation) {
    if (c.isEmpty()) {
      return;
    }
    if (c.isRowMajor()) {
      // Cᵀ = Bᵀ·Aᵀ has contiguous columns.
      gemm(alpha, b.transposed(), a.transposed(), beta, c.transposed(), operation);
      return;
    }
    if (split.serves(a, b, c)) {
      split.gemm(alpha, a, b, beta, c, operation);
      return;
    }
    // Rows of activations are columns here.
    int runs = RowSteps.up(c.columns());
    boolean room = !b.isRowMajor() && b.hasRoomFor(runs) && c.hasRoomFor(runs);
    int n = room ? runs : c.columns();
    CudaBlas blas = context.blas();
    blas.gemm(c.rows(), n, a.columns(), alpha, operand(a), operand(b), beta, operand(c));
    context.queue().queued(operation);
  }

  /**
   * The same matrix with rows of zeros below it, as many as {@link RowSteps} adds, where there is
   * room.
   */
  CudaTensor withZeros(CudaTensor x, String operation) {
    int rows = RowSteps.up(x.rows());
    if (rows == x.rows() || !x.isRowMajor() || !x.isDense() || !x.hasRoomFor(rows)) {
      return x;
    }
    CudaTensor longer = x.withRuns(rows);
    CudaQueue queue = context.queue();
    queue
        .driver()
        .zero(x.address() + x.byteSize(), longer.byteSize() - x.byteSize(), queue.stream());
    queue.queued(operation);
    return longer;
  }

  /** {@code C_i ← α·A_i·B_i + β·C_i} for the parts of the matrices. */
  void gemmBatch(
      int count,
      float alpha,
      CudaTensor a,
      CudaTensor b,
      float beta,
      CudaTensor c,
      String operation) {
    if (c.isEmpty()) {
      return;
    }
    if (c.isRowMajor()) {
      gemmBatch(count, alpha, b.transposed(), a.transposed(), beta, c.transposed(), operation);
      return;
    }
    int inner = a.isRowMajor() ? a.columns() : a.columns() / count;
    context
        .blas()
        .gemmBatch(
            c.rows(),
            c.columns() / count,
            inner,
            alpha,
            operand(a),
            step(a, count),
            operand(b),
            step(b, count),
            beta,
            operand(c),
            step(c, count),
            count);
    context.queue().queued(operation);
  }

  /** Elements from one part to the next. */
  private static long step(CudaTensor t, int count) {
    return (long) (t.isRowMajor() ? t.rows() : t.columns()) / count * t.stride();
  }

  private static Operand operand(CudaTensor t) {
    int run = t.isRowMajor() ? t.columns() : t.rows();
    return new Operand(
        t.address(), Math.max(1, Math.max(run, t.stride())), t.isRowMajor(), element(t));
  }

  private static Element element(CudaTensor t) {
    return switch (t.type()) {
      case F32 -> Element.F32;
      case F16 -> Element.F16;
      case BF16 -> Element.BF16;
      default -> throw new IllegalArgumentException("no products of type " + t.type());
    };
  }
}
