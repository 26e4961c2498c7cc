package dev.gptq.nativekernels;

import com.google.common.base.Supplier;
import com.google.common.base.Suppliers;
import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Availability;
import dev.gptq.simd.kernels.ColumnKernels.Grids;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import dev.gptq.simd.kernels.RoundedWeights;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.IntStream;

/** The functions of {@code levels.c}, loaded once from this jar and kept until the process ends. */
@SuppressWarnings("restricted")
final class KernelLibrary {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /** The library, or why there is none. */
  record Found(Optional<KernelLibrary> library, Optional<Availability.Unavailable> refusal) {}

  /** Loads it at the first question. */
  private static final class Holder {
    static final Found FOUND = load(resource());
  }

  private final MethodHandle levels;
  private final MethodHandle name;
  private final MethodHandle runs;
  private final MethodHandle denseRows;
  private final MethodHandle denseColumns;
  private final MethodHandle columnRows;
  private final MethodHandle round;
  private final MethodHandle multiply;
  private final MethodHandle forward;

  /** Linked at the first call: a process that generates text makes none. */
  private final Supplier<MethodHandle> columns;

  private KernelLibrary(SymbolLookup symbols) {
    levels = link(symbols, "gptq_levels", FunctionDescriptor.of(INT));
    name = link(symbols, "gptq_level_name", FunctionDescriptor.of(ValueLayout.ADDRESS, INT));
    runs = link(symbols, "gptq_level_runs", FunctionDescriptor.of(INT, INT));
    denseRows = link(symbols, "gptq_dense_rows", FunctionDescriptor.of(INT, INT));
    denseColumns = link(symbols, "gptq_dense_columns", FunctionDescriptor.of(INT, INT));
    columnRows = link(symbols, "gptq_column_rows", FunctionDescriptor.of(INT, INT));
    round =
        link(
            symbols,
            "gptq_round",
            FunctionDescriptor.ofVoid(
                INT,
                LONG,
                LONG,
                LONG,
                ValueLayout.ADDRESS,
                ValueLayout.ADDRESS,
                LONG,
                LONG,
                ValueLayout.ADDRESS));
    multiply =
        link(
            symbols,
            "gptq_multiply",
            FunctionDescriptor.ofVoid(
                INT,
                ValueLayout.ADDRESS,
                ValueLayout.ADDRESS,
                ValueLayout.ADDRESS,
                ValueLayout.JAVA_FLOAT,
                ValueLayout.ADDRESS,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                ValueLayout.ADDRESS,
                LONG,
                ValueLayout.ADDRESS,
                LONG));
    forward =
        link(
            symbols,
            "gptq_forward",
            FunctionDescriptor.ofVoid(
                INT,
                INT,
                ValueLayout.ADDRESS,
                LONG,
                ValueLayout.ADDRESS,
                LONG,
                ValueLayout.ADDRESS,
                LONG,
                ValueLayout.ADDRESS,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                LONG,
                ValueLayout.JAVA_FLOAT));
    columns =
        Suppliers.memoize(() ->
            link(
                symbols,
                "gptq_columns",
                FunctionDescriptor.ofVoid(
                    INT,
                    INT,
                    ValueLayout.ADDRESS,
                    LONG,
                    ValueLayout.ADDRESS,
                    LONG,
                    ValueLayout.ADDRESS,
                    LONG,
                    ValueLayout.ADDRESS,
                    LONG,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    LONG,
                    LONG,
                    LONG,
                    INT,
                    ValueLayout.JAVA_FLOAT,
                    ValueLayout.JAVA_FLOAT,
                    ValueLayout.ADDRESS)));
  }

  /** That of this jar for this system. */
  static Found found() {
    return Holder.FOUND;
  }

  /** Where the library of this system is, beside this class. */
  static String resource() {
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String processor = System.getProperty("os.arch").replace("amd64", "x86_64");
    return system + "-" + processor + "/libgptq-native.so";
  }

  /** Loads a resource; the file that the loader needs is deleted at once. */
  static Found load(String resource) {
    try (InputStream in = KernelLibrary.class.getResourceAsStream(resource)) {
      if (in == null) {
        return refused(
            "this gptq-native-*.jar has no " + resource,
            "Build it on such a machine, with a C compiler, or use simd.kernels=java.");
      }
      Path file = Files.createTempFile("gptq-native", ".so");
      try {
        Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
        return found(new KernelLibrary(SymbolLookup.libraryLookup(file, Arena.global())));
      } finally {
        Files.delete(file);
      }
    } catch (IOException | IllegalArgumentException e) {
      return refused(
          "the library of the native kernels could not be loaded: " + e.getMessage(),
          "Set -Djava.io.tmpdir to a folder whose files may be executed, or use simd.kernels=java.");
    }
  }

  private static Found found(KernelLibrary library) {
    return library.levels().isEmpty()
        ? refused(
            "the processor has none of the instructions of the native kernels",
            "Use simd.kernels=java.")
        : new Found(Optional.of(library), Optional.empty());
  }

  private static Found refused(String reason, String remedy) {
    return new Found(Optional.empty(), Optional.of(new Availability.Unavailable(reason, remedy)));
  }

  private static MethodHandle link(SymbolLookup symbols, String name, FunctionDescriptor type) {
    return Linker.nativeLinker().downcallHandle(symbols.findOrThrow(name), type);
  }

  /** The levels that run on this processor, the fastest last. */
  ImmutableList<Integer> levels() {
    return IntStream.range(0, count())
        .filter(this::runs)
        .boxed()
        .collect(ImmutableList.toImmutableList());
  }

  private int count() {
    try {
      return (int) levels.invokeExact();
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  private boolean runs(int level) {
    return asked(runs, level) != 0;
  }

  /** Rows of a tile of dense products. */
  int denseRows(int level) {
    return asked(denseRows, level);
  }

  /** Columns of a tile of dense products. */
  int denseColumns(int level) {
    return asked(denseColumns, level);
  }

  /** Rows of a strip of the column loop. */
  int columnRows(int level) {
    return asked(columnRows, level);
  }

  private static int asked(MethodHandle function, int level) {
    try {
      return (int) function.invokeExact(level);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  /** What a level is called, such as {@code AVX2}. */
  String name(int level) {
    try {
      MemorySegment text = (MemorySegment) name.invokeExact(level);
      return text.reinterpret(Long.MAX_VALUE).getString(0);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  void round(
      int level, RoundedWeights w, MemorySegment x, long token, long tokens, MemorySegment rows) {
    try {
      round.invokeExact(
          level,
          (long) w.bits(),
          (long) w.chunks(),
          (long) w.groups(),
          w.groupOfChunk(),
          x,
          token,
          tokens,
          rows);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  void multiply(
      int level,
      RoundedWeights w,
      long first,
      long end,
      MemorySegment rows,
      long tokens,
      MemorySegment y,
      long stride) {
    try {
      multiply.invokeExact(
          level,
          w.words(),
          w.scales(),
          w.zeros().orElse(MemorySegment.NULL),
          w.fixedZero(),
          w.groupOfChunk(),
          (long) w.bits(),
          (long) w.outputs(),
          (long) w.width(),
          (long) w.chunks(),
          (long) w.groups(),
          first,
          end,
          rows,
          tokens,
          y,
          stride);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  void forward(
      int level,
      int operation,
      Rows a,
      Rows b,
      Rows c,
      Rows y,
      Shape shape,
      long n,
      long m,
      long first,
      long step,
      float factor) {
    try {
      forward.invokeExact(
          level,
          operation,
          a.segment(),
          a.stride(),
          b.segment(),
          b.stride(),
          c.segment(),
          c.stride(),
          y.segment(),
          y.stride(),
          (long) shape.rows(),
          (long) shape.columns(),
          n,
          m,
          first,
          step,
          factor);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  void columns(
      int level,
      int operation,
      Rows w,
      Rows u,
      Grids grids,
      Rows codes,
      Shape shape,
      MemorySegment scratch) {
    try {
      columns
          .get()
          .invokeExact(
              level,
              operation,
              w.segment(),
              w.stride(),
              u.segment(),
              u.stride(),
              grids.scale().segment(),
              grids.scale().stride(),
              grids.zero().segment(),
              grids.zero().stride(),
              grids.groupOf(),
              codes.segment(),
              codes.stride(),
              (long) shape.rows(),
              (long) shape.columns(),
              grids.midRise() ? 1 : 0,
              grids.least(),
              grids.most(),
              scratch);
    } catch (Throwable e) {
      throw failure(e);
    }
  }

  /** C throws nothing; what arrives comes from the virtual machine. */
  private static RuntimeException failure(Throwable e) {
    if (e instanceof RuntimeException exception) {
      return exception;
    }
    if (e instanceof Error error) {
      throw error;
    }
    throw new AssertionError("a native kernel could not be called", e);
  }
}
