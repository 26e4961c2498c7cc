package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gptq.backend.Holdings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;

/** cuBLAS on one stream. */
public final class NativeCudaBlas implements CudaBlas {
  // Default arithmetic, which keeps float32 products in float32, and no shortened partial sums.
  private static final int NO_REDUCED_PRECISION = 16;
  private static final int COMPUTE_F32 = 68;
  private static final int DEFAULT_ALGORITHM = -1;
  private static final int HOST_POINTERS = 0;
  private static final int DEVICE_POINTERS = 1;

  private static final MethodHandle CREATE = NativeLibrary.status(ADDRESS);
  private static final MethodHandle DESTROY = NativeLibrary.status(JAVA_LONG);
  private static final MethodHandle STREAM = NativeLibrary.status(JAVA_LONG, JAVA_LONG);
  private static final MethodHandle MODE = NativeLibrary.status(JAVA_LONG, JAVA_INT);
  private static final MethodHandle GEMM =
      NativeLibrary.status(
          JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT,
          JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT,
          JAVA_INT);
  private static final MethodHandle BATCH =
      NativeLibrary.status(
          JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT,
          JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG,
          JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT);

  private final NativeLibrary library;
  private final MemorySegment gemm;
  private final MemorySegment batch;
  private final MemorySegment pointerMode;
  private final long handle;
  private final MemorySegment alpha = Arena.ofAuto().allocate(JAVA_FLOAT);
  private final MemorySegment beta = Arena.ofAuto().allocate(JAVA_FLOAT);

  /**
   * The library. Asked for here, the handles of its functions are made too, which takes as long.
   *
   * @throws CudaUnavailableException if it is not found
   */
  public static NativeLibrary library(List<Path> folders) {
    return MathLibrary.CUBLAS.require(folders);
  }

  /** A handle that queues its work in {@code stream} of the current context. */
  public NativeCudaBlas(NativeLibrary library, long stream) {
    this.library = library;
    this.gemm = library.function("cublasGemmEx");
    this.batch = library.function("cublasGemmStridedBatchedEx");
    this.pointerMode = library.function("cublasSetPointerMode_v2");
    MemorySegment create = library.function("cublasCreate_v2");
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      check("cublasCreate", () -> (int) CREATE.invokeExact(create, out));
      this.handle = out.get(JAVA_LONG, 0);
    }
    Holdings.allOrNothing(taken -> {
      taken.add(this::close);
      prepare(stream);
      return this;
    });
  }

  private void prepare(long stream) {
    MemorySegment setStream = library.function("cublasSetStream_v2");
    check("cublasSetStream", () -> (int) STREAM.invokeExact(setStream, handle, stream));
    MemorySegment setMode = library.function("cublasSetMathMode");
    check("cublasSetMathMode", () -> (int) MODE.invokeExact(setMode, handle, NO_REDUCED_PRECISION));
  }

  @Override
  public void gemm(int m, int n, int k, float a, Operand x, Operand y, float b, Operand z) {
    alpha.set(JAVA_FLOAT, 0, a);
    beta.set(JAVA_FLOAT, 0, b);
    gemm(m, n, k, alpha, x, y, beta, z);
  }

  @Override
  public void gemmOfDeviceScalars(
      int m, int n, int k, long a, Operand x, Operand y, long b, Operand z) {
    setPointers(DEVICE_POINTERS);
    try {
      gemm(m, n, k, MemorySegment.ofAddress(a), x, y, MemorySegment.ofAddress(b), z);
    } finally {
      setPointers(HOST_POINTERS);
    }
  }

  private void setPointers(int mode) {
    check("cublasSetPointerMode", () -> (int) MODE.invokeExact(pointerMode, handle, mode));
  }

  private void gemm(
      int m, int n, int k, MemorySegment a, Operand x, Operand y, MemorySegment b, Operand z) {
    int strideX = Math.toIntExact(x.stride());
    int strideY = Math.toIntExact(y.stride());
    int strideZ = Math.toIntExact(z.stride());
    check(
        "cublasGemmEx",
        () ->
            (int)
                GEMM.invokeExact(
                    gemm,
                    handle,
                    operation(x),
                    operation(y),
                    m,
                    n,
                    k,
                    a,
                    x.address(),
                    x.element().code(),
                    strideX,
                    y.address(),
                    y.element().code(),
                    strideY,
                    b,
                    z.address(),
                    z.element().code(),
                    strideZ,
                    COMPUTE_F32,
                    DEFAULT_ALGORITHM));
  }

  @Override
  public void gemmBatch(
      int m,
      int n,
      int k,
      float a,
      Operand x,
      long stepX,
      Operand y,
      long stepY,
      float b,
      Operand z,
      long stepZ,
      int count) {
    alpha.set(JAVA_FLOAT, 0, a);
    beta.set(JAVA_FLOAT, 0, b);
    int strideX = Math.toIntExact(x.stride());
    int strideY = Math.toIntExact(y.stride());
    int strideZ = Math.toIntExact(z.stride());
    check(
        "cublasGemmStridedBatchedEx",
        () ->
            (int)
                BATCH.invokeExact(
                    batch,
                    handle,
                    operation(x),
                    operation(y),
                    m,
                    n,
                    k,
                    alpha,
                    x.address(),
                    x.element().code(),
                    strideX,
                    stepX,
                    y.address(),
                    y.element().code(),
                    strideY,
                    stepY,
                    beta,
                    z.address(),
                    z.element().code(),
                    strideZ,
                    stepZ,
                    count,
                    COMPUTE_F32,
                    DEFAULT_ALGORITHM));
  }

  @Override
  public String version() {
    return MathLibrary.CUBLAS.version(library);
  }

  @Override
  public void close() {
    MemorySegment destroy = library.function("cublasDestroy_v2");
    check("cublasDestroy", () -> (int) DESTROY.invokeExact(destroy, handle));
  }

  private static int operation(Operand operand) {
    return operand.transposed() ? 1 : 0;
  }

  private static void check(String name, Call call) {
    MathLibrary.check(name, Call.status(name, call));
  }
}
