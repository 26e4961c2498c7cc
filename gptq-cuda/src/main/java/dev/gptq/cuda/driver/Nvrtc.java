package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Ints;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.List;

/** NVIDIA's run-time compiler. */
public final class Nvrtc {
  private static final MethodHandle CREATE =
      NativeLibrary.status(ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
  private static final MethodHandle COMPILE = NativeLibrary.status(JAVA_LONG, JAVA_INT, ADDRESS);
  private static final MethodHandle READ = NativeLibrary.status(JAVA_LONG, ADDRESS);
  private static final MethodHandle DESTROY = NativeLibrary.status(ADDRESS);
  private static final MethodHandle VERSION = NativeLibrary.status(ADDRESS, ADDRESS);
  private static final MethodHandle ARCHITECTURES = NativeLibrary.status(ADDRESS);

  private final NativeLibrary library;

  /** The compiler in a loaded library. */
  public Nvrtc(NativeLibrary library) {
    this.library = library;
  }

  /** Its version as people write it. */
  public String version() {
    try (Arena local = Arena.ofConfined()) {
      MemorySegment major = local.allocate(JAVA_INT);
      MemorySegment minor = local.allocate(JAVA_INT);
      MemorySegment version = library.function("nvrtcVersion");
      check("nvrtcVersion", () -> (int) VERSION.invokeExact(version, major, minor));
      return major.get(JAVA_INT, 0) + "." + minor.get(JAVA_INT, 0);
    }
  }

  /** The architectures it makes code for, ascending: 90 is compute capability 9.0. */
  public ImmutableList<Integer> architectures() {
    try (Arena local = Arena.ofConfined()) {
      MemorySegment count = local.allocate(JAVA_INT);
      MemorySegment getCount = library.function("nvrtcGetNumSupportedArchs");
      check("nvrtcGetNumSupportedArchs", () -> (int) ARCHITECTURES.invokeExact(getCount, count));
      MemorySegment all = local.allocate(JAVA_INT, count.get(JAVA_INT, 0));
      MemorySegment get = library.function("nvrtcGetSupportedArchs");
      check("nvrtcGetSupportedArchs", () -> (int) ARCHITECTURES.invokeExact(get, all));
      return ImmutableList.copyOf(Ints.asList(all.toArray(JAVA_INT)));
    }
  }

  /**
   * Compiles CUDA C++.
   *
   * @param name name of the source in messages
   * @param source text of the main file
   * @param headers text of the files it includes, by name
   * @param options command-line options
   * @param machine whether to give a cubin, or else PTX
   * @throws CudaException with the compiler's log if it refuses
   */
  public byte[] compile(
      String name,
      String source,
      ImmutableMap<String, String> headers,
      ImmutableList<String> options,
      boolean machine) {
    try (Arena local = Arena.ofConfined()) {
      MemorySegment program = local.allocate(JAVA_LONG);
      MemorySegment create = library.function("nvrtcCreateProgram");
      MemorySegment main = local.allocateFrom(source);
      MemorySegment title = local.allocateFrom(name);
      MemorySegment texts = strings(List.copyOf(headers.values()), local);
      MemorySegment names = strings(List.copyOf(headers.keySet()), local);
      int count = headers.size();
      check(
          "nvrtcCreateProgram",
          () -> (int) CREATE.invokeExact(create, program, main, title, count, texts, names));
      long handle = program.get(JAVA_LONG, 0);
      try {
        MemorySegment compile = library.function("nvrtcCompileProgram");
        MemorySegment flags = strings(options, local);
        int flagCount = options.size();
        int status =
            Call.status(
                "nvrtcCompileProgram",
                () -> (int) COMPILE.invokeExact(compile, handle, flagCount, flags));
        if (status != 0) {
          String log = read(handle, "nvrtcGetProgramLog", local).getString(0);
          throw new CudaException("nvrtcCompileProgram of " + name, status, log);
        }
        return read(handle, machine ? "nvrtcGetCUBIN" : "nvrtcGetPTX", local).toArray(JAVA_BYTE);
      } finally {
        MemorySegment destroy = library.function("nvrtcDestroyProgram");
        check("nvrtcDestroyProgram", () -> (int) DESTROY.invokeExact(destroy, program));
      }
    }
  }

  private MemorySegment read(long program, String getter, Arena arena) {
    MemorySegment size = arena.allocate(JAVA_LONG);
    MemorySegment getSize = library.function(getter + "Size");
    check(getter + "Size", () -> (int) READ.invokeExact(getSize, program, size));
    MemorySegment text = arena.allocate(size.get(JAVA_LONG, 0), 16);
    MemorySegment get = library.function(getter);
    check(getter, () -> (int) READ.invokeExact(get, program, text));
    return text;
  }

  private static MemorySegment strings(List<String> values, Arena arena) {
    MemorySegment array = arena.allocate(ADDRESS, Math.max(1, values.size()));
    for (int i = 0; i < values.size(); i++) {
      array.setAtIndex(ADDRESS, i, arena.allocateFrom(values.get(i)));
    }
    return array;
  }

  private static void check(String name, Call call) {
    int status = Call.status(name, call);
    if (status != 0) {
      throw new CudaException(name, status, "the run-time compiler refused");
    }
  }
}
