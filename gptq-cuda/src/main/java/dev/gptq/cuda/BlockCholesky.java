package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/**
 * {@code LLᵀ = A} in place of the lower triangle of A, which has contiguous columns, by blocks of
 * columns from the left to the right:
 *
 * <pre>
 *   L_JJ·L_JJᵀ = A_JJ                    by cuSOLVER
 *   L_IJ = A_IJ·L_JJ⁻ᵀ                   for all rows I below
 *   A_II ← A_II − L_IJ·L_IJᵀ             on and below the diagonal
 * </pre>
 *
 * <p>The last is a product of halves as in {@link SplitProducts}. An element of L is at most the
 * root of the largest on the diagonal of A, so that one power of two serves all of them. The halves
 * A₁ and A₂ of pieces of L_IJ lie as A₁, A₂, A₁, A₁ one behind the other: the first three times the
 * last three are all three products of a piece, of which tensor cores, which cut sums off, take the
 * small ones first.
 */
final class BlockCholesky {
  private static final String OPERATION = "cholesky";

  /** The halves of an element that are kept, some more than once. */
  private static final long COPIES = 4;

  private final CudaContext context;
  private final MatrixProducts products;
  private final TriangularInverse inverse;
  private final int block;
  private final int piece;
  private final int strip;

  /**
   * With blocks of so many columns.
   *
   * @param piece columns of a piece
   * @param strip columns of A_II that one product covers
   */
  BlockCholesky(CudaContext context, int block, int piece, int strip) {
    this.context = context;
    this.products = new MatrixProducts(context);
    this.inverse = new TriangularInverse(context);
    this.block = block;
    this.piece = piece;
    this.strip = strip;
  }

  int block() {
    return block;
  }

  /**
   * Queues the factorisation.
   *
   * @param minors ints on the device, one for each block: becomes what cuSOLVER says of it
   */
  void compute(CudaTensor a, long minors) {
    int n = a.rows();
    try (HalvesScales scales = HalvesScales.ofFactor(context, a, OPERATION)) {
      for (int at = 0; at < n; at += block) {
        int end = Math.min(n, at + block);
        CudaTensor diagonal = a.rows(at, end).columns(at, end);
        factor(context, diagonal, minors + Integer.BYTES * (long) (at / block));
        if (end < n) {
          CudaTensor rest = a.rows(end, n);
          eliminate(diagonal, rest.columns(at, end), rest.columns(end, n), scales);
        }
      }
    }
  }

  /** Queues a factorisation by cuSOLVER, which leaves the order of a bad minor in {@code minor}. */
  static void factor(CudaContext context, CudaTensor a, long minor) {
    int n = a.rows();
    long bytes = context.solver().choleskyWorkspace(n, a.address(), a.stride());
    try (Scratch workspace = context.memory().scratch(bytes)) {
      context.solver().cholesky(n, a.address(), a.stride(), workspace.address(), bytes, minor);
    }
    context.queue().queued(OPERATION);
  }

  private void eliminate(
      CudaTensor diagonal, CudaTensor panel, CudaTensor rest, HalvesScales scales) {
    int width = panel.columns();
    long stride = Math.ceilDiv(panel.rows(), Halves.UNIT) * (long) Halves.UNIT;
    try (CudaScope local = new CudaScope(context);
        Scratch halves = context.memory().scratch(COPIES * DType.F16.bytes() * stride * width)) {
      CudaTensor u = (CudaTensor) local.allocate(DType.F32, width, width, Layout.ROW_MAJOR);
      inverse.compute(diagonal.transposed(), u);
      CudaTensor solved =
          (CudaTensor) local.allocate(DType.F32, panel.rows(), width, Layout.COLUMN_MAJOR);
      products.gemm(1, panel, u, 0, solved, OPERATION);
      CudaTensor runs = solved.transposed();
      context
          .kernels()
          .arguments()
          .add(runs)
          .add(panel.transposed())
          .add(piece)
          .address(halves.address())
          .address(stride)
          .address(scales.address());
      context
          .kernels()
          .launch(KernelImages.TOLERANT, "splitPanel", Elementwise.over(runs), OPERATION);
      for (int at = 0; at < rest.columns(); at += strip) {
        int end = Math.min(rest.columns(), at + strip);
        subtract(halves.address(), stride, width, at, rest.columns(at, end), scales);
      }
    }
    context.queue().queued(OPERATION);
  }

  /** Of a strip of columns, from the row on whose number is that of its first column. */
  private void subtract(
      long halves, long stride, int width, int first, CudaTensor columns, HalvesScales scales) {
    CudaTensor c = columns.rows(first, columns.rows());
    Operand sum = new Operand(c.address(), c.stride(), false, Element.F32);
    for (int at = 0; at < width; at += piece) {
      int deep = Math.min(piece, width - at);
      long left = halves + DType.F16.bytes() * (COPIES * at * stride + first);
      long right = left + DType.F16.bytes() * stride * deep;
      context
          .blas()
          .gemmOfDeviceScalars(
              c.rows(),
              c.columns(),
              3 * deep,
              scales.alpha(),
              new Operand(left, stride, false, Element.F16),
              new Operand(right, stride, true, Element.F16),
              scales.beta(),
              sum);
    }
  }
}
