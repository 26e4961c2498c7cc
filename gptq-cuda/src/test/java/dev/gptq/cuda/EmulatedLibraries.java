package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaSolver;
import java.lang.foreign.MemorySegment;

/** cuBLAS and cuSOLVER by their definitions on the memory of an {@link EmulatedDriver}. */
final class EmulatedLibraries {
  private EmulatedLibraries() {}

  /** Products in float64, rounded once. */
  static final class Blas implements CudaBlas {
    private final Runnable before;

    /**
     * For a stream.
     *
     * @param before what it does before each product
     */
    Blas(Runnable before) {
      this.before = before;
    }

    @Override
    public void gemm(
        int m, int n, int k, float alpha, Operand a, Operand b, float beta, Operand c) {
      before.run();
      if (c.transposed() || c.stride() < Math.max(1, m)) {
        throw new AssertionError("not a result: " + c);
      }
      for (int j = 0; j < n; j++) {
        for (int i = 0; i < m; i++) {
          double sum = 0;
          for (int l = 0; l < k; l++) {
            sum += (double) get(a, i, l) * get(b, l, j);
          }
          sum *= alpha;
          set(c, i, j, (float) (beta == 0 ? sum : sum + (double) beta * get(c, i, j)));
        }
      }
    }

    @Override
    public void gemmOfDeviceScalars(
        int m, int n, int k, long alpha, Operand a, Operand b, long beta, Operand c) {
      before.run();
      gemm(m, n, k, number(alpha), a, b, number(beta), c);
    }

    private static float number(long address) {
      return EmulatedDriver.at(address, Float.BYTES).get(JAVA_FLOAT, 0);
    }

    @Override
    public void gemmBatch(
        int m,
        int n,
        int k,
        float alpha,
        Operand a,
        long stepA,
        Operand b,
        long stepB,
        float beta,
        Operand c,
        long stepC,
        int count) {
      for (int i = 0; i < count; i++) {
        gemm(m, n, k, alpha, moved(a, i * stepA), moved(b, i * stepB), beta, moved(c, i * stepC));
      }
    }

    private static Operand moved(Operand x, long elements) {
      long address = x.address() + elements * bytes(x.element());
      return new Operand(address, x.stride(), x.transposed(), x.element());
    }

    @Override
    public String version() {
      return "emulated";
    }

    @Override
    public void close() {
      // Holds nothing.
    }
  }

  /** Cholesky in float64, rounded once. */
  static final class Solver implements CudaSolver {
    private final Runnable before;

    /**
     * For a stream.
     *
     * @param before what it does before each factorisation
     */
    Solver(Runnable before) {
      this.before = before;
    }

    @Override
    public long choleskyWorkspace(int n, long a, long stride) {
      return 1;
    }

    @Override
    public void cholesky(int n, long a, long stride, long workspace, long bytes, long info) {
      before.run();
      CudaBlas.Operand x = new CudaBlas.Operand(a, stride, false, CudaBlas.Element.F32);
      double[][] l = new double[n][n];
      for (int j = 0; j < n; j++) {
        for (int i = j; i < n; i++) {
          double sum = get(x, i, j);
          for (int k = 0; k < j; k++) {
            sum -= l[i][k] * l[j][k];
          }
          if (i == j && sum <= 0) {
            EmulatedDriver.at(info, 4).set(JAVA_INT, 0, j + 1);
            return;
          }
          l[i][j] = i == j ? Math.sqrt(sum) : sum / l[j][j];
          set(x, i, j, (float) l[i][j]);
        }
      }
    }

    @Override
    public String version() {
      return "emulated";
    }

    @Override
    public void close() {
      // Holds nothing.
    }
  }

  private static int bytes(CudaBlas.Element element) {
    return element == CudaBlas.Element.F32 ? 4 : 2;
  }

  private static MemorySegment element(CudaBlas.Operand x, int row, int column) {
    long index = x.transposed() ? row * x.stride() + column : row + column * x.stride();
    int bytes = bytes(x.element());
    return EmulatedDriver.at(x.address() + index * bytes, bytes);
  }

  private static float get(CudaBlas.Operand x, int row, int column) {
    MemorySegment at = element(x, row, column);
    return switch (x.element()) {
      case F32 -> at.get(JAVA_FLOAT, 0);
      case F16 -> Float.float16ToFloat(at.get(JAVA_SHORT, 0));
      case BF16 -> Float.intBitsToFloat(at.get(JAVA_SHORT, 0) << 16);
    };
  }

  private static void set(CudaBlas.Operand x, int row, int column, float value) {
    MemorySegment at = element(x, row, column);
    switch (x.element()) {
      case F32 -> at.set(JAVA_FLOAT, 0, value);
      case F16 -> at.set(JAVA_SHORT, 0, Float.floatToFloat16(value));
      case BF16 -> {
        int bits = Float.floatToRawIntBits(value);
        int rounded = Float.isNaN(value) ? 0x7fff0000 : bits + 0x7fff + ((bits >>> 16) & 1);
        at.set(JAVA_SHORT, 0, (short) (rounded >>> 16));
      }
    }
  }
}
