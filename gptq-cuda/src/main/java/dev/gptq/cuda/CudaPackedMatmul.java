package dev.gptq.cuda;

import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.PackedWeights;
import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * Products with packed weights. Few rows: a kernel that reads each weight once and never stores it
 * unpacked. Many rows: slices of the weights are unpacked to the activations' type for cuBLAS.
 */
final class CudaPackedMatmul implements PackedMatmul {
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

  CudaPackedMatmul(CudaContext context, DType type) {
    this.context = context;
    this.kernels = context.kernels();
    this.products = new MatrixProducts(context);
    this.type = type;
  }

  @Override
  public PackedWeights prepare(PackedMatrix m, TensorScope scope) {
    CudaScope owner = scope(scope);
    int[] groups = IntStream.range(0, m.columns()).map(m::group).toArray();
    MemorySegment groupOf = MemorySegment.ofArray(groups);
    long bytes =
        m.words().byteSize()
            + m.scales().byteSize()
            + m.zeros().map(MemorySegment::byteSize).orElse(0L)
            + groupOf.byteSize();
    return new CudaPackedWeights(
        owner,
        m.bits(),
        m.rows(),
        m.columns(),
        upload(m.words(), owner),
        upload(m.scales(), owner),
        m.zeros().isPresent() ? upload(m.zeros().get(), owner) : 0,
        upload(groupOf, owner),
        contiguousGroupSize(m, groups),
        m.scheme().hasZeroPoint() ? 0 : m.scheme().fixedZero(m.bits()),
        bytes);
  }

  private CudaScope scope(TensorScope scope) {
    if (scope instanceof CudaScope s && context.owns(s)) {
      return s;
    }
    throw new IllegalArgumentException("a scope of another backend was passed to the cuda backend");
  }

  private long upload(MemorySegment host, CudaScope scope) {
    long address = scope.reserve(host.byteSize());
    context.staging().upload(host, address, host.byteSize());
    context.queue().queued("upload");
    return address;
  }

  /** Columns of a group if all units of 32 columns lie in one group each, else 0. */
  private static int contiguousGroupSize(PackedMatrix m, int[] groups) {
    if (m.columns() % UNIT != 0 || m.columns() % m.groups() != 0) {
      return 0;
    }
    int size = m.groupSize();
    boolean contiguous =
        (size % UNIT == 0) && IntStream.range(0, m.columns()).allMatch(i -> groups[i] == i / size);
    return contiguous ? size : 0;
  }

  @Override
  public void matmul(Tensor x, PackedWeights weights, Tensor y) {
    CudaTensor xt = context.tensor(x);
    CudaTensor yt = context.tensor(y);
    CudaPackedWeights w = weights(weights);
    if (yt.isEmpty()) {
      return;
    }
    if (xt.rows() >= DENSE_FROM) {
      dense(xt, w, yt);
      return;
    }
    for (int first = 0; first < xt.rows(); first += DECODE_TOKENS) {
      decode(xt, w, first, Math.min(DECODE_TOKENS, xt.rows() - first), yt);
    }
  }

  private CudaPackedWeights weights(PackedWeights weights) {
    if (weights instanceof CudaPackedWeights w && context.owns(w.scope())) {
      w.scope().checkOpen();
      return w;
    }
    throw new IllegalArgumentException(
        "packed weights of another backend were passed to the cuda backend");
  }

  private void decode(CudaTensor x, CudaPackedWeights w, int first, int tokens, CudaTensor y) {
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

  private void dense(CudaTensor x, CudaPackedWeights w, CudaTensor y) {
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
