package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gptq.backend.Holdings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;

/** cuSOLVER on one stream, by its 64-bit interface. */
public final class NativeCudaSolver implements CudaSolver {
  private static final int LOWER = 0;
  private static final int R_32F = 0;

  private static final MethodHandle CREATE = NativeLibrary.status(ADDRESS);
  private static final MethodHandle DESTROY = NativeLibrary.status(JAVA_LONG);
  private static final MethodHandle STREAM = NativeLibrary.status(JAVA_LONG, JAVA_LONG);
  private static final MethodHandle WORKSPACE =
      NativeLibrary.status(
          JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT,
          ADDRESS, ADDRESS);
  private static final MethodHandle CHOLESKY =
      NativeLibrary.status(
          JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT,
          JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);

  private final NativeLibrary library;
  private final long handle;
  private final long parameters;
  private final MemorySegment out = Arena.ofAuto().allocate(JAVA_LONG, 2);
  private MemorySegment host = MemorySegment.NULL;

  /**
   * The library. Asked for here, the handles of its functions are made too, which takes as long.
   *
   * @throws CudaUnavailableException if it is not found
   */
  public static NativeLibrary library(List<Path> folders) {
    return MathLibrary.CUSOLVER.require(folders);
  }

  /** A handle that queues its work in {@code stream} of the current context. */
  public NativeCudaSolver(NativeLibrary library, long stream) {
    this.library = library;
    this.handle = create("cusolverDnCreate");
    this.parameters =
        Holdings.allOrNothing(taken -> {
          taken.add(() -> destroy("cusolverDnDestroy", handle));
          MemorySegment setStream = library.function("cusolverDnSetStream");
          check("cusolverDnSetStream", () -> (int) STREAM.invokeExact(setStream, handle, stream));
          return create("cusolverDnCreateParams");
        });
  }

  private long create(String function) {
    MemorySegment f = library.function(function);
    check(function, () -> (int) CREATE.invokeExact(f, out));
    return out.get(JAVA_LONG, 0);
  }

  private void destroy(String function, long what) {
    MemorySegment f = library.function(function);
    check(function, () -> (int) DESTROY.invokeExact(f, what));
  }

  @Override
  public long choleskyWorkspace(int n, long a, long stride) {
    MemorySegment f = library.function("cusolverDnXpotrf_bufferSize");
    MemorySegment hostBytes = out.asSlice(JAVA_LONG.byteSize());
    check(
        "cusolverDnXpotrf_bufferSize",
        () ->
            (int)
                WORKSPACE.invokeExact(
                    f,
                    handle,
                    parameters,
                    LOWER,
                    (long) n,
                    R_32F,
                    a,
                    stride,
                    R_32F,
                    out,
                    hostBytes));
    long needed = out.getAtIndex(JAVA_LONG, 1);
    if (needed > host.byteSize()) {
      host = Arena.ofAuto().allocate(needed, JAVA_LONG.byteSize());
    }
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void cholesky(int n, long a, long stride, long workspace, long bytes, long info) {
    MemorySegment f = library.function("cusolverDnXpotrf");
    check(
        "cusolverDnXpotrf",
        () ->
            (int)
                CHOLESKY.invokeExact(
                    f,
                    handle,
                    parameters,
                    LOWER,
                    (long) n,
                    R_32F,
                    a,
                    stride,
                    R_32F,
                    workspace,
                    bytes,
                    host,
                    host.byteSize(),
                    info));
  }

  @Override
  public String version() {
    return MathLibrary.CUSOLVER.version(library);
  }

  @Override
  public void close() {
    try (Holdings all = new Holdings()) {
      all.add(() -> destroy("cusolverDnDestroy", handle));
      all.add(() -> destroy("cusolverDnDestroyParams", parameters));
    }
  }

  private static void check(String name, Call call) {
    MathLibrary.check(name, Call.status(name, call));
  }
}
