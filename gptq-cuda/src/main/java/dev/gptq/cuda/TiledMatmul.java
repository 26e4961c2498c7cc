package dev.gptq.cuda;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/** Products of bfloat16 activations with {@link TiledWeights}. */
final class TiledMatmul {
  /** TILE_OUT and TILE_IN of packed_mma.cu. */
  static final int TILE_OUT = 16;

  static final int TILE_IN = 64;

  private static final String OPERATION = "packed matmul";
  private static final int THREADS = 256;
  private static final int ROWS_AT_ONCE = 16;
  private static final int UNPACK_WARPS = 4;
  private static final int WARP = 32;

  /** Bytes that the kernel reads at once. */
  private static final int PIECE = 16;

  /** From this number of rows on, unpacking pays. */
  private static final int DENSE_FROM = 65;

  private static final long UNPACKED_BYTES = 256L << 20;

  private final CudaContext context;
  private final Kernels kernels;
  private final MatrixProducts products;

  TiledMatmul(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
    this.products = new MatrixProducts(context);
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
        "tileWords",
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
    kernels.launch(KernelImages.TOLERANT, "tileGrids", Elementwise.over(grids), OPERATION);
  }

  void matmul(CudaTensor x, TiledWeights w, CudaTensor y) {
    if (x.rows() >= DENSE_FROM) {
      dense(x, w, y);
    } else if (x.address() % PIECE == 0 && x.rowStride() * x.type().bytes() % PIECE == 0) {
      fused(x, w, y);
    } else {
      // The kernel reads eight activations at once.
      try (CudaScope local = new CudaScope(context)) {
        CudaTensor aligned =
            (CudaTensor) local.allocate(DType.BF16, x.rows(), x.columns(), Layout.ROW_MAJOR);
        new CudaLinearAlgebra(context).convert(x, aligned);
        fused(aligned, w, y);
      }
    }
  }

  private void fused(CudaTensor x, TiledWeights w, CudaTensor y) {
    for (int first = 0; first < x.rows(); first += ROWS_AT_ONCE) {
      int columns = x.rows() - first > ROWS_AT_ONCE / 2 ? 2 : 1;
      int tiles = tilesOfBlock(w.rows(), columns);
      kernels.arguments().add(x).add(w).add(first).add(y);
      kernels.launch(
          KernelImages.TOLERANT,
          "tiledMatmul_" + tiles + "_" + columns,
          Geometry.of(w.rows() / (tiles * TILE_OUT), THREADS),
          OPERATION);
    }
  }

  /**
   * Tiles that share what a block loads of x: the more, the less is loaded, as long as there are
   * blocks enough for all processors.
   */
  private int tilesOfBlock(int rows, int columns) {
    int processors = context.device().multiprocessors();
    if (columns == 1 && rows % (4 * TILE_OUT) == 0 && rows / (4 * TILE_OUT) >= 3 * processors) {
      return 4;
    }
    return rows % (2 * TILE_OUT) == 0 && rows / (2 * TILE_OUT) >= processors ? 2 : 1;
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
            "unpackTiles",
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
