package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaException;
import dev.gptq.cuda.driver.CudaUnavailableException;
import dev.gptq.cuda.driver.Nvrtc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Brings the kernels into the device's context: the machine code in the jar, or, if there is none
 * or the driver does not take it, what the run-time compiler makes of the sources, now or at an
 * earlier start.
 */
record KernelLoader(
    CudaDriver driver, CudaDevice device, Optional<Nvrtc> compiler, KernelCache cache) {

  /** The handle of a loaded module. */
  long load(KernelImages image) {
    try (Arena arena = Arena.ofConfined()) {
      if (KernelImages.areBuiltIn()) {
        try {
          return driver.loadModule(image.builtIn(arena));
        } catch (CudaException refused) {
          if (compiler.isEmpty()) {
            throw new CudaUnavailableException(
                "the kernels in the gptq-cuda jar do not run on "
                    + device.name()
                    + " with this driver ("
                    + refused.getMessage()
                    + ")",
                "Update the NVIDIA driver, or install CUDA's run-time compiler (libnvrtc)");
          }
        }
      }
      KernelSource source = image.source(device, compiler.orElseThrow().architectures());
      String key = source.key(driver.version(), compiler.orElseThrow().version());
      Supplier<byte[]> compile = () -> source.compile(compiler.orElseThrow());
      byte[] code = cache.get(key, compile);
      try {
        return driver.loadModule(copy(code, arena));
      } catch (CudaException refused) {
        // What was kept may be what another driver of the same version cannot take.
        return driver.loadModule(copy(cache.replace(key, compile), arena));
      }
    }
  }

  private static MemorySegment copy(byte[] code, Arena arena) {
    return arena.allocate(code.length, 16).copyFrom(MemorySegment.ofArray(code));
  }
}
