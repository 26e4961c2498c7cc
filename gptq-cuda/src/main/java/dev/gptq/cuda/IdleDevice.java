package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaSolver;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;

/**
 * Driver and libraries of a rehearsal: they succeed at once and do nothing. What they return is 0,
 * but for addresses of memory, which are as far apart as those of a device would be, and for the
 * sizes of workspaces, which the real library tells.
 */
final class IdleDevice {
  private static final long FIRST_ADDRESS = 1L << 40;

  private IdleDevice() {}

  static CudaDriver driver() {
    long[] next = {FIRST_ADDRESS};
    return (CudaDriver)
        Proxy.newProxyInstance(
            CudaDriver.class.getClassLoader(),
            new Class<?>[] {CudaDriver.class},
            (proxy, method, arguments) ->
                switch (method.getName()) {
                  case "allocate" -> {
                    long address = next[0];
                    next[0] += (long) arguments[0];
                    yield address;
                  }
                  case "allocateHost" -> MemorySegment.NULL;
                  default -> nothing(method.getReturnType());
                });
  }

  private static Object nothing(Class<?> type) {
    if (type == long.class) {
      return 0L;
    }
    if (type == int.class) {
      return 0;
    }
    return type == float.class ? 0f : null;
  }

  static CudaBlas blas() {
    return new Blas();
  }

  /** With workspaces of the size that {@code real} asks for. */
  static CudaSolver solver(CudaSolver real) {
    return new Solver(real);
  }

  private static final class Blas implements CudaBlas {
    @Override
    public void gemm(
        int m, int n, int k, float alpha, Operand a, Operand b, float beta, Operand c) {
      // Computes nothing.
    }

    @Override
    public void gemmOfDeviceScalars(
        int m, int n, int k, long alpha, Operand a, Operand b, long beta, Operand c) {
      // Computes nothing.
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
      // Computes nothing.
    }

    @Override
    public String version() {
      return "none";
    }

    @Override
    public void close() {
      // Holds nothing.
    }
  }

  private record Solver(CudaSolver real) implements CudaSolver {
    @Override
    public long choleskyWorkspace(int n, long a, long stride) {
      return real.choleskyWorkspace(n, a, stride);
    }

    @Override
    public void cholesky(int n, long a, long stride, long workspace, long bytes, long info) {
      // Computes nothing.
    }

    @Override
    public String version() {
      return "none";
    }

    @Override
    public void close() {
      // The real one is closed by its owner.
    }
  }
}
