package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Holdings;
import dev.gptq.cuda.driver.CudaDriver;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.function.ToLongFunction;

/** The modules loaded into the device's context, and their kernels by name, for all lanes. */
final class KernelModules {
  private static final int SHARED_MEMORY_WITHOUT_ASKING = 48 << 10;

  /** A kernel and the dynamic shared memory it is allowed. */
  private static final class Kernel {
    private final long handle;
    private int allowed = SHARED_MEMORY_WITHOUT_ASKING;

    private Kernel(long handle) {
      this.handle = handle;
    }
  }

  private final CudaDriver driver;
  private final Map<KernelImages, Long> modules = new EnumMap<>(KernelImages.class);
  private final Holdings holdings;
  private final Map<String, Kernel> kernels = new HashMap<>();

  /** Loads modules. */
  KernelModules(
      CudaDriver driver, ImmutableList<KernelImages> images, ToLongFunction<KernelImages> loader) {
    this.driver = driver;
    this.holdings =
        Holdings.allOrNothing(taken -> {
          for (KernelImages image : images) {
            modules.put(image, taken.add(loader.applyAsLong(image), driver::unloadModule));
          }
          return taken;
        });
  }

  /**
   * The handle of a kernel that is allowed that much dynamic shared memory. What was allowed once
   * stays so: another lane may be about to use it.
   */
  synchronized long handle(KernelImages image, String name, int sharedBytes) {
    Kernel kernel = kernels.get(name);
    if (kernel == null) {
      kernel = new Kernel(driver.function(modules.get(image), name));
      kernels.put(name, kernel);
    }
    if (sharedBytes > kernel.allowed) {
      driver.allowSharedMemory(kernel.handle, sharedBytes);
      kernel.allowed = sharedBytes;
    }
    return kernel.handle;
  }

  void close() {
    holdings.close();
  }
}
