package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;

/**
 * The powers of two by which the factors of {@code α·A·B + β·C}, or a matrix alone, are multiplied
 * before they are split, and the α and β that undo them, on the device: the host waits for none.
 */
final class HalvesScales implements AutoCloseable {
  /** HALVES_RUN of halves.cu. */
  private static final int RUN = 4096;

  /** Bytes of HalvesScales of halves.cuh, in whole units of partial results. */
  private static final long BYTES = 32;

  private static final int BLOCKS_A_PROCESSOR = 8;
  private static final int DIAGONAL_THREADS = 1024;

  /**
   * What a factor is multiplied by.
   *
   * @param number 0 for A, 1 for B
   * @param power of two, beside that of the scales
   */
  record Factor(HalvesScales scales, int number, int power) {
    /** The same times 2ᵖ, p not being above 0. */
    Factor times(int p) {
      return new Factor(scales, number, power + p);
    }
  }

  private final CudaContext context;
  private final String operation;
  private final Scratch memory;

  /** With room for so many partial results. */
  private HalvesScales(CudaContext context, String operation, int partial) {
    this.context = context;
    this.operation = operation;
    this.memory = context.memory().scratch(BYTES + (long) Integer.BYTES * partial);
  }

  /** The scales of {@code α·A·B + β·C}. */
  static HalvesScales ofProduct(
      CudaContext context, float alpha, CudaTensor a, CudaTensor b, float beta, String operation) {
    CudaTensor runsA = alongRows(a);
    CudaTensor runsB = alongRows(b);
    int blocks = blocks(context, Math.max(items(runsA), items(runsB)));
    HalvesScales scales = new HalvesScales(context, operation, 2 * blocks);
    long partial = scales.findLargest(runsA, runsB, blocks, 2);
    context
        .kernels()
        .arguments()
        .address(partial)
        .add(blocks)
        .add(alpha)
        .add(beta)
        .address(scales.address());
    scales.launch("halvesScales", Geometry.of(1, Elementwise.THREADS));
    return scales;
  }

  /** The scales of a matrix alone, which is A; α undoes its power. */
  static HalvesScales ofMatrix(CudaContext context, CudaTensor a, String operation) {
    CudaTensor runs = alongRows(a);
    int blocks = blocks(context, items(runs));
    HalvesScales scales = new HalvesScales(context, operation, blocks);
    long partial = scales.findLargest(runs, runs, blocks, 1);
    context.kernels().arguments().address(partial).add(blocks).address(scales.address());
    scales.launch("matrixScales", Geometry.of(1, Elementwise.THREADS));
    return scales;
  }

  /** The scales of {@code −L·Lᵀ + C}, L being what is on or below the diagonal with LLᵀ = A. */
  static HalvesScales ofFactor(CudaContext context, CudaTensor a, String operation) {
    HalvesScales scales = new HalvesScales(context, operation, 0);
    context.kernels().arguments().add(a).address(scales.address());
    scales.launch("factorScales", Geometry.of(1, DIAGONAL_THREADS));
    return scales;
  }

  /** Finds the largest elements of the first factor, or of both, and says where they lie. */
  private long findLargest(CudaTensor a, CudaTensor b, int blocks, int factors) {
    long partial = address() + BYTES;
    context.kernels().arguments().add(a).add(b).address(partial);
    launch("largestMagnitudes", Geometry.of(blocks, factors, Elementwise.THREADS));
    return partial;
  }

  private static int blocks(CudaContext context, long items) {
    long most = (long) BLOCKS_A_PROCESSOR * context.device().multiprocessors();
    return Math.toIntExact(Math.min(most, items));
  }

  /** Runs of columns that blocks take. */
  private static long items(CudaTensor runs) {
    return (long) runs.rows() * Math.ceilDiv(runs.columns(), RUN);
  }

  private void launch(String kernel, Geometry geometry) {
    context.kernels().launch(KernelImages.TOLERANT, kernel, geometry, operation);
  }

  private static CudaTensor alongRows(CudaTensor t) {
    return t.isRowMajor() ? t : t.transposed();
  }

  Factor ofA() {
    return new Factor(this, 0, 0);
  }

  Factor ofB() {
    return new Factor(this, 1, 0);
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
