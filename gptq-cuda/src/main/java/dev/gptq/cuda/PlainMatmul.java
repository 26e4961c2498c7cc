package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/**
 * Products with {@link PlainWeights}: any width, any groups, any order. Few rows: a kernel that
 * reads each weight once and never stores it unpacked. Many rows: slices of the weights are
 * unpacked to the activations' type for cuBLAS.
 */
final class PlainMatmul {
  private static final String OPERATION = "packed matmul";

  /** UNIT of packed.cu. */
  private static final int UNIT = 32;

  private static final int DECODE_WARPS = 8;
  private static final int DECODE_THREADS = 32 * DECODE_WARPS;
  private static final int DECODE_TOKENS = 4;

  /** From this number of rows on, unpacking pays. */
  private static final int DENSE_FROM = 9;

  private static final int BLOCKS_A_PROCESSOR = 4;
  private static final int THREADS = 128;
  private static final long UNPACKED_BYTES = 256L << 20;

  private final CudaContext context;
  private final Kernels kernels;
  private final MatrixProducts products;
  private final DType type;

  PlainMatmul(CudaContext context, DType type) {
    this.context = context;
    this.kernels = context.kernels();
    this.products = new MatrixProducts(context);
    this.type = type;
  }

  void matmul(CudaTensor x, PlainWeights w, CudaTensor y) {
    if (x.rows() >= DENSE_FROM) {
      dense(x, w, y);
      return;
    }
    for (int first = 0; first < x.rows(); first += DECODE_TOKENS) {
      decode(x, w, first, Math.min(DECODE_TOKENS, x.rows() - first), y);
    }
  }

  private void decode(CudaTensor x, PlainWeights w, int first, int tokens, CudaTensor y) {
    int blocks = Math.ceilDiv(w.rows(), UNIT);
    int units = Math.ceilDiv(w.columns(), UNIT);
    int wanted = Math.ceilDiv(BLOCKS_A_PROCESSOR * context.device().multiprocessors(), blocks);
    int unitsOfSlice =
        Math.max(1, Math.ceilDiv(units, Math.clamp(wanted, 1, Math.ceilDiv(units, DECODE_WARPS))));
    int slices = Math.max(1, Math.ceilDiv(units, unitsOfSlice));
    int padded = tokens == 1 ? 1 : DECODE_TOKENS;
    try (Scratch partial = context.memory().scratch(4L * slices * padded * w.rows())) {
      kernels.arguments().add(x).add(w).add(first).add(unitsOfSlice).address(partial.address());
      kernels.launch(
          KernelImages.TOLERANT,
          "decode_" + suffix() + "_" + w.bits() + "_" + padded,
          Geometry.of(blocks, slices, DECODE_THREADS),
          OPERATION);
      kernels.arguments().address(partial.address()).add(slices).add(padded).add(first).add(y);
      kernels.launch(
          KernelImages.TOLERANT,
          "addSlices_" + suffix(),
          Geometry.of(Math.ceilDiv(w.rows(), THREADS), tokens, THREADS),
          OPERATION);
    }
  }

  private void dense(CudaTensor x, PlainWeights w, CudaTensor y) {
    long bytesOfOutput = (long) type.bytes() * Math.max(1, w.columns());
    int outputs = Math.toIntExact(Math.clamp(UNPACKED_BYTES / bytesOfOutput, 1, w.rows()));
    try (CudaScope local = new CudaScope(context)) {
      CudaTensor buffer = (CudaTensor) local.allocate(type, w.columns(), outputs, Layout.ROW_MAJOR);
      for (int from = 0; from < w.rows(); from += outputs) {
        int count = Math.min(outputs, w.rows() - from);
        CudaTensor unpacked = buffer.columns(0, count);
        kernels.arguments().add(w).add(from).add(unpacked);
        kernels.launch(
            KernelImages.TOLERANT,
            "unpack_" + suffix() + "_" + w.bits(),
            Geometry.of(Math.ceilDiv(count, THREADS), Math.ceilDiv(w.columns(), UNIT), THREADS),
            OPERATION);
        products.gemm(1, x, unpacked, 0, y.columns(from, from + count), OPERATION);
      }
    }
  }

  private String suffix() {
    return type == DType.BF16 ? "bf16" : "f32";
  }
}
