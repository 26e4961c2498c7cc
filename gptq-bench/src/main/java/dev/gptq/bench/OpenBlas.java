package dev.gptq.bench;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * OpenBLAS through {@code java.lang.foreign}, from the jar of bytedeco: the peer of the linear
 * algebra. Its thread count and kernels follow OPENBLAS_NUM_THREADS and OPENBLAS_CORETYPE, which
 * must be set before the process starts.
 */
@SuppressWarnings("restricted")
final class OpenBlas {
  private static final String FOLDER = "/org/bytedeco/openblas/linux-x86_64/";
  private static final String LIBRARY = "libopenblas.so.0";
  private static final ImmutableList<String> NEEDED =
      ImmutableList.of("libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5");
  private static final int ROW_MAJOR = 101;
  private static final int COLUMN_MAJOR = 102;
  private static final int NO_TRANSPOSE = 111;
  private static final int TRANSPOSE = 112;
  private static final int LOWER = 122;

  private final SymbolLookup library;
  private final MethodHandle sgemm;
  private final MethodHandle ssyrk;
  private final MethodHandle spotrf;
  private final MethodHandle spotri;
  private final MethodHandle sdot;
  private final MethodHandle setThreads;

  OpenBlas() {
    library = load();
    ValueLayout.OfInt i = ValueLayout.JAVA_INT;
    ValueLayout.OfFloat f = ValueLayout.JAVA_FLOAT;
    var p = ValueLayout.ADDRESS;
    sgemm =
        handle("cblas_sgemm", FunctionDescriptor.ofVoid(i, i, i, i, i, i, f, p, i, p, i, f, p, i));
    ssyrk = handle("cblas_ssyrk", FunctionDescriptor.ofVoid(i, i, i, i, i, f, p, i, f, p, i));
    ValueLayout.OfByte c = ValueLayout.JAVA_BYTE;
    spotrf = handle("LAPACKE_spotrf", FunctionDescriptor.of(i, i, c, i, p, i));
    spotri = handle("LAPACKE_spotri", FunctionDescriptor.of(i, i, c, i, p, i));
    sdot = handle("cblas_sdot", FunctionDescriptor.of(f, i, p, i, p, i));
    setThreads = handle("openblas_set_num_threads", FunctionDescriptor.ofVoid(i));
  }

  /** Kernels, threads and configuration, for the record. */
  String description() {
    return "OpenBLAS kernels "
        + text("openblas_get_corename")
        + ", "
        + threads()
        + " threads, "
        + text("openblas_get_config");
  }

  /** {@code C ← A·B}, n × n. */
  void gemm(int n, MemorySegment a, MemorySegment b, MemorySegment c) {
    call(() -> {
      sgemm.invokeExact(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, n, n, n, 1f, a, n, b, n, 0f, c, n);
    });
  }

  /** {@code C ← A·Bᵀ}; A is m × k, B n × k. */
  void gemmTransposed(int m, int n, int k, MemorySegment a, MemorySegment b, MemorySegment c) {
    call(() -> {
      sgemm.invokeExact(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, m, n, k, 1f, a, k, b, k, 0f, c, n);
    });
  }

  /** {@code H ← H + XᵀX} in the lower triangle; X is tokens × n. */
  void gram(int n, int tokens, MemorySegment x, MemorySegment h) {
    call(() -> {
      ssyrk.invokeExact(ROW_MAJOR, LOWER, TRANSPOSE, n, tokens, 1f, x, n, 1f, h, n);
    });
  }

  /** In place: the Cholesky factor of A. */
  void factor(int n, MemorySegment a) {
    call(() -> {
      int failed = (int) spotrf.invokeExact(COLUMN_MAJOR, (byte) 'L', n, a, n);
      if (failed != 0) {
        throw new IllegalStateException("factorisation failed: " + failed);
      }
    });
  }

  /** In place, as other tools do it: factor, inverse of the matrix, factor of the inverse. */
  void factorChain(int n, MemorySegment a) {
    call(() -> {
      int first = (int) spotrf.invokeExact(COLUMN_MAJOR, (byte) 'L', n, a, n);
      int inverse = (int) spotri.invokeExact(COLUMN_MAJOR, (byte) 'L', n, a, n);
      int second = (int) spotrf.invokeExact(COLUMN_MAJOR, (byte) 'L', n, a, n);
      if (first != 0 || inverse != 0 || second != 0) {
        throw new IllegalStateException(
            "factorisation failed: " + first + ", " + inverse + ", " + second);
      }
    });
  }

  /** {@code Σ x·y}. */
  float dot(int n, MemorySegment x, MemorySegment y) {
    float[] result = new float[1];
    call(() -> result[0] = (float) sdot.invokeExact(n, x, 1, y, 1));
    return result[0];
  }

  /** How many threads the next operations take. */
  void setThreads(int count) {
    call(() -> {
      setThreads.invokeExact(count);
    });
  }

  private interface Call {
    void run() throws Throwable;
  }

  private static void call(Call call) {
    try {
      call.run();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private int threads() {
    MethodHandle get =
        handle("openblas_get_num_threads", FunctionDescriptor.of(ValueLayout.JAVA_INT));
    int[] result = new int[1];
    call(() -> result[0] = (int) get.invokeExact());
    return result[0];
  }

  private String text(String function) {
    MethodHandle get = handle(function, FunctionDescriptor.of(ValueLayout.ADDRESS));
    String[] result = new String[1];
    call(() ->
        result[0] =
            ((MemorySegment) get.invokeExact()).reinterpret(Integer.MAX_VALUE).getString(0));
    return result[0];
  }

  private MethodHandle handle(String name, FunctionDescriptor signature) {
    return Linker.nativeLinker().downcallHandle(library.findOrThrow(name), signature);
  }

  /**
   * Loads the library and, before it, what it needs: those are found by name once they are there.
   */
  private static SymbolLookup load() {
    try {
      Path folder = Files.createTempDirectory("openblas");
      folder.toFile().deleteOnExit();
      for (String needed : NEEDED) {
        SymbolLookup.libraryLookup(extract(needed, folder), Arena.global());
      }
      return SymbolLookup.libraryLookup(extract(LIBRARY, folder), Arena.global());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path extract(String name, Path folder) throws IOException {
    try (InputStream in = OpenBlas.class.getResourceAsStream(FOLDER + name)) {
      if (in == null) {
        throw new IllegalStateException(
            "openblas-*-linux-x86_64.jar is not on the class path; add it to the lib folder");
      }
      Path copy = folder.resolve(name);
      copy.toFile().deleteOnExit();
      Files.write(copy, in.readAllBytes());
      return copy;
    }
  }
}
