package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;

/**
 * The normal equations of refits. Where tensor cores are fast one kernel, refit_system.cu or that
 * of {@link WideRefitSystems}, multiplies and sums at once. Elsewhere, and for groups that it does
 * not take, each group is one product, whose sums with the steps and with the difference are
 * entries of both sides.
 */
final class RefitSystems {
  private static final String OPERATION = "refitSystem";

  /** SYSTEM_ROWS, SYSTEM_COLUMNS and SYSTEM_THREADS of refit_system.cu, and the parts of H. */
  private static final int ROWS = 128;

  private static final int COLUMNS = 64;
  private static final int THREADS = 128;
  private static final int PARTS = 3;

  /** Elements between rows of a tile that are not used, so that rows lie in different banks. */
  private static final int GAP = 8;

  /** Bytes of the parts of H, or of a product, that are held at a time. */
  private static final long PARTS_BYTES = 1L << 30;

  private static final long PRODUCT_BYTES = 256L << 20;

  private final CudaContext context;
  private final CudaLinearAlgebra linalg;
  private final WideRefitSystems wide;

  RefitSystems(CudaContext context, CudaLinearAlgebra linalg) {
    this.context = context;
    this.linalg = linalg;
    this.wide = new WideRefitSystems(context, linalg);
  }

  /** One system; see {@link dev.gptq.backend.QuantizationOps#refitSystem}. */
  private record Problem(
      CudaTensor steps,
      CudaTensor difference,
      CudaTensor h,
      CudaTensor normal,
      CudaTensor gradient) {
    Problem rows(int from, int to) {
      return new Problem(
          steps.rows(from, to),
          difference.rows(from, to),
          h,
          normal.rows(from, to),
          gradient.rows(from, to));
    }

    int groups() {
      return gradient.columns();
    }

    /** Columns of a group. */
    int run() {
      return steps.columns() / groups();
    }
  }

  void run(
      CudaTensor steps,
      CudaTensor difference,
      CudaTensor h,
      CudaTensor normal,
      CudaTensor gradient) {
    Problem problem = new Problem(steps, difference, h, normal, gradient);
    if (steps.isEmpty()) {
      return;
    }
    if (wide.serves(problem.run(), steps.columns())) {
      wide.run(steps, difference, h, normal, gradient);
    } else if (isServed(problem)) {
      onTensorCores(problem);
    } else {
      byProducts(problem);
    }
  }

  private boolean isServed(Problem problem) {
    int run = problem.run();
    return context.device().hasFastTensorCores()
        && (run == 32 || run == 64 || run == 128)
        && problem.steps().columns() % COLUMNS == 0;
  }

  private void onTensorCores(Problem problem) {
    int rows = problem.steps().rows();
    int n = problem.steps().columns();
    int run = problem.run();
    long bytesOfGroup = (long) PARTS * DType.BF16.bytes() * n * run;
    int most = Math.clamp(PARTS_BYTES / bytesOfGroup, 1, problem.groups());
    try (CudaScope local = new CudaScope(context);
        Scratch parts = context.memory().scratch(bytesOfGroup * most)) {
      CudaTensor steps = (CudaTensor) local.allocate(DType.BF16, rows, n, Layout.ROW_MAJOR);
      linalg.convert(problem.steps(), steps);
      CudaTensor difference = (CudaTensor) local.allocate(DType.F32, rows, n, Layout.ROW_MAJOR);
      linalg.convert(problem.difference(), difference);
      for (int first = 0; first < problem.groups(); first += most) {
        int groups = Math.min(most, problem.groups() - first);
        CudaTensor columns = problem.h().columns(first * run, (first + groups) * run);
        long step = (long) n * columns.columns();
        context
            .kernels()
            .arguments()
            .add(columns)
            .address(parts.address())
            .address(columns.columns())
            .address(step)
            .add(PARTS)
            .add(1);
        launch("splitParts", Elementwise.over(columns));
        context
            .kernels()
            .arguments()
            .add(steps)
            .add(difference)
            .address(parts.address())
            .address(columns.columns())
            .address(step)
            .add(first)
            .add(problem.normal())
            .add(problem.gradient());
        launch(
            OPERATION + "_" + run,
            Geometry.of(Math.ceilDiv(rows, ROWS), groups, THREADS)
                .withShared(2 * PARTS * COLUMNS * (run + GAP) * DType.BF16.bytes()));
      }
    }
  }

  private void launch(String kernel, Geometry geometry) {
    context.kernels().launch(KernelImages.TOLERANT, kernel, geometry, OPERATION);
  }

  private void byProducts(Problem problem) {
    int rows = problem.steps().rows();
    int n = problem.steps().columns();
    int atOnce = Math.clamp(PRODUCT_BYTES / ((long) Float.BYTES * n), 1, rows);
    for (int from = 0; from < rows; from += atOnce) {
      int to = Math.min(from + atOnce, rows);
      try (CudaScope local = new CudaScope(context)) {
        byProducts(
            problem.rows(from, to),
            (CudaTensor) local.allocate(DType.F32, to - from, n, Layout.COLUMN_MAJOR));
      }
    }
  }

  private void byProducts(Problem problem, CudaTensor product) {
    int run = problem.run();
    for (int g = 0; g < problem.groups(); g++) {
      int from = g * run;
      int to = from + run;
      linalg.gemm(1, problem.steps().columns(from, to), problem.h().rows(from, to), 0, product);
      int first = g * (g + 1) / 2;
      linalg.rowDots(
          product.columns(0, to),
          problem.steps().columns(0, to),
          problem.normal().columns(first, first + g + 1));
      linalg.rowDots(product, problem.difference(), problem.gradient().columns(g, g + 1));
    }
  }
}
