package dev.gptq.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A shared library of C functions that return an {@code int} status. The only class of this module
 * with restricted calls of {@link java.lang.foreign}. Libraries stay loaded until the process ends.
 *
 * <p>Handles are made per signature and take the function's address as their first argument: as
 * {@code static final} constants they are inlined by the JIT, wherever the library was found.
 */
@SuppressWarnings("restricted")
public final class NativeLibrary {
  private final String name;
  private final SymbolLookup symbols;

  /** Addresses that were asked for: threads wait for one another when they look for them. */
  private final Map<String, MemorySegment> functions = new ConcurrentHashMap<>();

  private NativeLibrary(String name, SymbolLookup symbols) {
    this.name = name;
    this.symbols = symbols;
  }

  /**
   * The first of {@code sonames} that loads, looked for in {@code folders} and then wherever the
   * system looks; empty if there is none.
   *
   * @throws CudaUnavailableException if this JVM denies native access
   */
  public static Optional<NativeLibrary> find(List<Path> folders, List<String> sonames) {
    for (Path folder : folders) {
      for (String soname : sonames) {
        Path file = folder.resolve(soname);
        Optional<NativeLibrary> found =
            Files.exists(file) ? load(file.toString()) : Optional.empty();
        if (found.isPresent()) {
          return found;
        }
      }
    }
    return sonames.stream().map(NativeLibrary::load).flatMap(Optional::stream).findFirst();
  }

  private static Optional<NativeLibrary> load(String name) {
    try {
      return Optional.of(new NativeLibrary(name, SymbolLookup.libraryLookup(name, Arena.global())));
    } catch (IllegalArgumentException absent) {
      return Optional.empty();
    } catch (IllegalCallerException denied) {
      throw new CudaUnavailableException(
          "this JVM denies native access (" + denied.getMessage() + ")",
          "Start it with --enable-native-access=ALL-UNNAMED");
    }
  }

  /** The soname or the path that was loaded. */
  public String name() {
    return name;
  }

  /** The address of a function. */
  MemorySegment function(String function) {
    return functions.computeIfAbsent(function, this::find);
  }

  private MemorySegment find(String function) {
    return symbols
        .find(function)
        .orElseThrow(() ->
            new CudaUnavailableException(
                name + " has no function " + function,
                "Install a newer NVIDIA driver and CUDA 12.0 or newer"));
  }

  /** A handle of type {@code (MemorySegment function, parameters…) int}. */
  static MethodHandle status(MemoryLayout... parameters) {
    return Linker.nativeLinker()
        .downcallHandle(FunctionDescriptor.of(ValueLayout.JAVA_INT, parameters));
  }

  /** The zero-terminated string at an address that a library returned. */
  static String string(long address) {
    return address == 0
        ? "unknown"
        : MemorySegment.ofAddress(address).reinterpret(Long.MAX_VALUE).getString(0);
  }

  /** Memory at an address that a library returned. */
  static MemorySegment memory(long address, long bytes) {
    return MemorySegment.ofAddress(address).reinterpret(bytes);
  }
}
