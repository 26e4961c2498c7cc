package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaException;
import dev.gptq.cuda.driver.CudaUnavailableException;
import dev.gptq.cuda.driver.Nvrtc;
import java.lang.foreign.Arena;
import java.util.Optional;

/**
 * Brings the kernels into the device's context: the machine code in the jar, or, if there is none
 * or the driver does not take it, what the run-time compiler makes of the sources.
 */
record KernelLoader(CudaDriver driver, CudaDevice device, Optional<Nvrtc> compiler) {

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
      return driver.loadModule(image.compile(compiler.orElseThrow(), device, arena));
    }
  }
}
