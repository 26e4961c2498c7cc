package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.BoxLayout;
import dev.gptq.cuda.driver.BoxLayout.Element;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/** The normal equations of refits by refit_wgmma.cu, on GPUs that have its instructions. */
final class WideRefitSystems {
  private static final String OPERATION = "refitSystem";

  /** WIDE_ROWS, WIDE_COLUMNS, WIDE_STAGES, HALVES, BOX_INPUTS and all threads of refit_wgmma.cu. */
  private static final int ROWS = 256;

  private static final int COLUMNS = 64;
  private static final int STAGES = 6;
  private static final int HALVES = 2;
  private static final int BOX_INPUTS = 64;
  private static final int THREADS = 256 + 128;

  /** Bytes of the barriers of the ring, rounded up to its alignment. */
  private static final int BARRIER_BYTES = 1024;

  /** Bytes of the halves of H that are held at a time. */
  private static final long HALVES_BYTES = 1L << 30;

  private final CudaContext context;
  private final CudaLinearAlgebra linalg;

  WideRefitSystems(CudaContext context, CudaLinearAlgebra linalg) {
    this.context = context;
    this.linalg = linalg;
  }

  /** Whether the kernels take groups of {@code run} of so many columns. */
  boolean serves(int run, int columns) {
    return KernelImages.HOPPER.runsOn(context.device())
        && (run == 64 || run == 128)
        && columns % COLUMNS == 0;
  }

  /** As {@link RefitSystems#run}. */
  void run(
      CudaTensor steps,
      CudaTensor difference,
      CudaTensor h,
      CudaTensor normal,
      CudaTensor gradient) {
    int n = steps.columns();
    int groups = gradient.columns();
    int run = n / groups;
    long bytesOfGroup = (long) HALVES * DType.F16.bytes() * n * run;
    int most = Math.clamp(HALVES_BYTES / bytesOfGroup, 1, groups);
    try (CudaScope local = new CudaScope(context);
        Scratch halves = context.memory().scratch(bytesOfGroup * most);
        HalvesScales scales = HalvesScales.ofMatrix(context, h, OPERATION)) {
      CudaTensor half = (CudaTensor) local.allocate(DType.F16, steps.rows(), n, Layout.ROW_MAJOR);
      linalg.convert(steps, half);
      CudaTensor rows = (CudaTensor) local.allocate(DType.F32, steps.rows(), n, Layout.ROW_MAJOR);
      linalg.convert(difference, rows);
      for (int first = 0; first < groups; first += most) {
        int some = Math.min(most, groups - first);
        CudaTensor columns = h.columns(first * run, (first + some) * run);
        context
            .kernels()
            .arguments()
            .add(columns)
            .address(scales.address())
            .address(halves.address());
        launch("splitSystem", Elementwise.over(columns));
        context
            .kernels()
            .arguments()
            .add(context.queue().driver(), layout(halves, columns))
            .add(half)
            .add(rows)
            .address(scales.address())
            .add(first)
            .add(normal)
            .add(gradient);
        launch(
            "wideSystem_" + run,
            Geometry.of(Math.ceilDiv(steps.rows(), ROWS), some, THREADS)
                .withShared(STAGES * HALVES * COLUMNS * run * DType.F16.bytes() + BARRIER_BYTES));
      }
    }
  }

  /** The halves as the rows of one matrix. */
  private static BoxLayout layout(Scratch halves, CudaTensor columns) {
    return new BoxLayout(
        Element.HALF,
        halves.address(),
        columns.columns(),
        (long) HALVES * columns.rows(),
        (long) columns.columns() * DType.F16.bytes(),
        BOX_INPUTS,
        COLUMNS,
        true);
  }

  private void launch(String kernel, Geometry geometry) {
    context.kernels().launch(KernelImages.HOPPER, kernel, geometry, OPERATION);
  }
}
