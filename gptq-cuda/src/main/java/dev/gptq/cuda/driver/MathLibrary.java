package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import com.google.common.collect.ImmutableList;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** NVIDIA's libraries besides the driver: by which names they are found, which version was. */
public enum MathLibrary {
  /** Dense matrix products. */
  CUBLAS("cuBLAS", "cublasGetProperty", "libcublas.so.13", "libcublas.so.12"),
  /** Factorisations; its major version is one behind CUDA's. */
  CUSOLVER("cuSOLVER", "cusolverGetProperty", "libcusolver.so.12", "libcusolver.so.11"),
  /** The run-time compiler. */
  NVRTC("NVRTC", "", "libnvrtc.so.13", "libnvrtc.so.12");

  private static final MethodHandle PROPERTY = NativeLibrary.status(JAVA_INT, ADDRESS);

  private final String title;
  private final String property;
  private final ImmutableList<String> sonames;

  MathLibrary(String title, String property, String... sonames) {
    this.title = title;
    this.property = property;
    this.sonames = ImmutableList.copyOf(sonames);
  }

  /** The library, if it is found in {@code folders} or by the system. */
  public Optional<NativeLibrary> find(List<Path> folders) {
    return NativeLibrary.find(folders, sonames);
  }

  /**
   * The library.
   *
   * @throws CudaUnavailableException if it is not found
   */
  public NativeLibrary require(List<Path> folders) {
    return find(folders)
        .orElseThrow(() ->
            new CudaUnavailableException(
                title
                    + " was not found ("
                    + String.join(", ", sonames)
                    + ", looked for in the system's folders"
                    + folders.stream().map(f -> ", " + f).collect(Collectors.joining())
                    + ")",
                "Install CUDA 12 or 13, or name its folder by CUDA_HOME or the setting "
                    + CudaFolders.SETTING));
  }

  /** The version of a loaded library, {@code major.minor.patch}. */
  public String version(NativeLibrary library) {
    MemorySegment f = library.function(property);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(JAVA_INT);
      return IntStream.range(0, 3)
          .mapToObj(part -> {
            check(
                property, Call.status(property, () -> (int) PROPERTY.invokeExact(f, part, value)));
            return Integer.toString(value.get(JAVA_INT, 0));
          })
          .collect(Collectors.joining("."));
    }
  }

  /** Throws if a call of cuBLAS or cuSOLVER, which share their first status codes, has failed. */
  static void check(String call, int status) {
    if (status != 0) {
      throw new CudaException(
          call,
          status,
          switch (status) {
            case 1 -> "the library is not initialised: the GPU or its memory was not available";
            case 2, 3 -> "no room for the library's own memory";
            case 13, 6 -> "the work failed on the device";
            case 15, 9 -> "not supported on this device";
            default -> "see NVIDIA's documentation of this status";
          });
    }
  }
}
