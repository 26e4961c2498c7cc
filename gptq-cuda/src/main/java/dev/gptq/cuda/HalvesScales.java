package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;

/**
 * The powers of two by which the factors of {@code α·A·B + β·C} are multiplied before they are
 * split, and the α and β that undo them, on the device: the host waits for none.
 */
final class HalvesScales implements AutoCloseable {
  /** HALVES_RUN of halves.cu. */
  private static final int RUN = 4096;

  /** Bytes of HalvesScales of halves.cu, in whole units of partial results. */
  private static final long BYTES = 32;

  private static final int BLOCKS_A_PROCESSOR = 8;

  private final CudaContext context;
  private final String operation;
  private final Scratch memory;

  HalvesScales(
      CudaContext context, float alpha, CudaTensor a, CudaTensor b, float beta, String operation) {
    this.context = context;
    this.operation = operation;
    int blocksA = blocks(a);
    int blocksB = blocks(b);
    this.memory = context.memory().scratch(BYTES + (long) Integer.BYTES * (blocksA + blocksB));
    long ofA = memory.address() + BYTES;
    long ofB = ofA + (long) Integer.BYTES * blocksA;
    largest(a, ofA, blocksA);
    largest(b, ofB, blocksB);
    context
        .kernels()
        .arguments()
        .address(ofA)
        .add(blocksA)
        .address(ofB)
        .add(blocksB)
        .add(alpha)
        .add(beta)
        .address(memory.address());
    launch("halvesScales", 1);
  }

  private int blocks(CudaTensor t) {
    CudaTensor runs = alongRows(t);
    long items = (long) runs.rows() * Math.ceilDiv(runs.columns(), RUN);
    int most = BLOCKS_A_PROCESSOR * context.device().multiprocessors();
    return Math.toIntExact(Math.min(items, most));
  }

  private void largest(CudaTensor t, long partial, int blocks) {
    context.kernels().arguments().add(alongRows(t)).address(partial);
    launch("largestMagnitudes", blocks);
  }

  private void launch(String kernel, int blocks) {
    Geometry geometry = Geometry.of(blocks, Elementwise.THREADS);
    context.kernels().launch(KernelImages.TOLERANT, kernel, geometry, operation);
  }

  private static CudaTensor alongRows(CudaTensor t) {
    return t.isRowMajor() ? t : t.transposed();
  }

  /** Where the structure lies. */
  long address() {
    return memory.address();
  }

  /** Where α lies, undoing both powers. */
  long alpha() {
    return memory.address();
  }

  /** Where β lies. */
  long beta() {
    return memory.address() + Float.BYTES;
  }

  /** Where 1 lies. */
  long one() {
    return memory.address() + 2L * Float.BYTES;
  }

  @Override
  public void close() {
    memory.close();
  }
}
