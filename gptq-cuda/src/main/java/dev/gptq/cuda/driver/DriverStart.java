package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.List;

/**
 * The driver's library while it initialises itself. That takes as long as to make the handles of
 * its functions, so that it is begun before.
 *
 * @param library it
 * @param status of {@code cuInit}
 */
public record DriverStart(NativeLibrary library, Begun<Integer> status) {
  private static final MethodHandle INIT = NativeLibrary.status(JAVA_INT);

  /**
   * Loads the library and begins.
   *
   * @throws CudaUnavailableException if it is absent
   */
  public static DriverStart begin() {
    NativeLibrary library =
        NativeLibrary.find(List.of(), List.of("libcuda.so.1", "libcuda.so"))
            .orElseThrow(() ->
                new CudaUnavailableException(
                    "the library libcuda.so.1 was not found",
                    "Install the NVIDIA driver, version 525 or newer"));
    MemorySegment init = library.function("cuInit");
    return new DriverStart(
        library,
        Begun.of(
            "gptq-cuda-driver",
            () -> Call.status("cuInit", () -> (int) INIT.invokeExact(init, 0))));
  }
}
