package dev.gptq.cuda;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/**
 * Products of bfloat16 activations with {@link TiledWeights}. Few rows: a kernel that reads each
 * weight once. More rows: on Hopper a kernel that unpacks weights of 4 bits on their way to the
 * tensor cores; for other widths and elsewhere cuBLAS on unpacked slices of them.
 */
final class TiledMatmul {
  /** TILE_OUT and TILE_IN of packed_tiles.cuh. */
  static final int TILE_OUT = 16;

  static final int TILE_IN = 64;

  private static final String OPERATION = "packed matmul";
  private static final int UNPACK_WARPS = 4;
  private static final int WARP = 32;

  /** Bytes that the kernels move at once. */
  private static final int PIECE = 16;

  /** Up to this number of rows the kernel for few rows is the faster one, block by block. */
  private static final int MOST_FEW_ROWS = 32;

  /** From this number of rows on, unpacking pays where there is no other kernel for them. */
  private static final int DENSE_FROM = 65;

  private static final long UNPACKED_BYTES = 256L << 20;

  private final CudaContext context;
  private final Kernels kernels;
  private final MatrixProducts products;
  private final FewRows fewRows;
  private final ManyRows manyRows;

  TiledMatmul(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
    this.products = new MatrixProducts(context);
    this.fewRows = new FewRows(context);
    this.manyRows = new ManyRows(context);
  }

  /** Queues the bringing of plain words, scales and zero points into tiles. */
  void tile(PlainWeights from, TiledWeights to) {
    kernels
        .arguments()
        .address(from.words())
        .add(from.rows())
        .add(from.columns())
        .address(to.tiles());
    kernels.launch(
        KernelImages.TOLERANT,
        "tileWords_" + to.bits(),
        Geometry.of(from.rows() / TILE_OUT, from.columns() / TILE_IN, WARP),
        OPERATION);
    int grids = from.rows() * (from.columns() / from.groupSize());
    kernels
        .arguments()
        .address(from.scales())
        .address(from.zeros())
        .add(from.fixedZero())
        .add(grids)
        .address(to.grids());
    kernels.launch(
        KernelImages.TOLERANT, "tileGrids_" + to.bits(), Elementwise.over(grids), OPERATION);
  }

  void matmul(CudaTensor x, TiledWeights w, CudaTensor y) {
    boolean many = x.rows() > MOST_FEW_ROWS && manyRows.isSuited(w);
    if (!many && x.rows() >= DENSE_FROM) {
      dense(x, w, y);
      return;
    }
    try (CudaScope local = new CudaScope(context)) {
      CudaTensor alignedX = isAligned(x) ? x : copyOf(x, local);
      CudaTensor alignedY =
          isAligned(y)
              ? y
              : (CudaTensor) local.allocate(DType.BF16, y.rows(), y.columns(), Layout.ROW_MAJOR);
      if (many) {
        manyRows.matmul(alignedX, w, alignedY, OPERATION);
      } else {
        fewRows.matmul(alignedX, w, alignedY, OPERATION);
      }
      if (alignedY != y) {
        new CudaLinearAlgebra(context).convert(alignedY, y);
      }
    }
  }

  private static boolean isAligned(CudaTensor t) {
    return t.address() % PIECE == 0 && t.rowStride() * t.type().bytes() % PIECE == 0;
  }

  private CudaTensor copyOf(CudaTensor t, CudaScope scope) {
    CudaTensor copy =
        (CudaTensor) scope.allocate(DType.BF16, t.rows(), t.columns(), Layout.ROW_MAJOR);
    new CudaLinearAlgebra(context).convert(t, copy);
    return copy;
  }

  private void dense(CudaTensor x, TiledWeights w, CudaTensor y) {
    long outputsAtOnce = UNPACKED_BYTES / (2L * w.columns()) / TILE_OUT * TILE_OUT;
    int outputs = Math.toIntExact(Math.clamp(outputsAtOnce, TILE_OUT, w.rows()));
    try (CudaScope local = new CudaScope(context)) {
      CudaTensor buffer =
          (CudaTensor) local.allocate(DType.BF16, outputs, w.columns(), Layout.ROW_MAJOR);
      for (int from = 0; from < w.rows(); from += outputs) {
        int count = Math.min(outputs, w.rows() - from);
        CudaTensor unpacked = buffer.rows(0, count);
        kernels.arguments().add(w).add(from).add(unpacked);
        kernels.launch(
            KernelImages.TOLERANT,
            "unpackTiles_" + w.bits(),
            Geometry.of(
                count / TILE_OUT,
                Math.ceilDiv(w.columns() / TILE_IN, UNPACK_WARPS),
                UNPACK_WARPS * WARP),
            OPERATION);
        products.gemm(1, x, unpacked.transposed(), 0, y.columns(from, from + count), OPERATION);
      }
    }
  }
}
