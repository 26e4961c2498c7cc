package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** cuSOLVER on one stream. */
public final class NativeCudaSolver implements CudaSolver {
  private static final int LOWER = 0;

  private static final MethodHandle CREATE = NativeLibrary.status(ADDRESS);
  private static final MethodHandle DESTROY = NativeLibrary.status(JAVA_LONG);
  private static final MethodHandle STREAM = NativeLibrary.status(JAVA_LONG, JAVA_LONG);
  private static final MethodHandle WORKSPACE =
      NativeLibrary.status(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS);
  private static final MethodHandle CHOLESKY =
      NativeLibrary.status(
          JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG);

  private final NativeLibrary library;
  private final long handle;
  private final MemorySegment out = Arena.ofAuto().allocate(JAVA_LONG);

  /** A handle that queues its work in {@code stream} of the current context. */
  public NativeCudaSolver(NativeLibrary library, long stream) {
    this.library = library;
    MemorySegment create = library.function("cusolverDnCreate");
    check("cusolverDnCreate", () -> (int) CREATE.invokeExact(create, out));
    this.handle = out.get(JAVA_LONG, 0);
    MemorySegment setStream = library.function("cusolverDnSetStream");
    check("cusolverDnSetStream", () -> (int) STREAM.invokeExact(setStream, handle, stream));
  }

  @Override
  public int choleskyWorkspace(int n, long a, int stride) {
    MemorySegment f = library.function("cusolverDnSpotrf_bufferSize");
    check(
        "cusolverDnSpotrf_bufferSize",
        () -> (int) WORKSPACE.invokeExact(f, handle, LOWER, n, a, stride, out));
    return out.get(JAVA_INT, 0);
  }

  @Override
  public void cholesky(int n, long a, int stride, long workspace, int elements, long info) {
    MemorySegment f = library.function("cusolverDnSpotrf");
    check(
        "cusolverDnSpotrf",
        () ->
            (int) CHOLESKY.invokeExact(f, handle, LOWER, n, a, stride, workspace, elements, info));
  }

  @Override
  public String version() {
    return MathLibrary.CUSOLVER.version(library);
  }

  @Override
  public void close() {
    MemorySegment destroy = library.function("cusolverDnDestroy");
    check("cusolverDnDestroy", () -> (int) DESTROY.invokeExact(destroy, handle));
  }

  private static void check(String name, Call call) {
    MathLibrary.check(name, Call.status(name, call));
  }
}
