package dev.gptq.cuda;

import com.google.common.collect.ImmutableList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.function.ToLongFunction;

/** The modules loaded into the device's context, and their kernels by name. */
final class Kernels {
  private static final int SHARED_MEMORY_WITHOUT_ASKING = 48 << 10;

  /** A kernel and the dynamic shared memory it is allowed. */
  private static final class Kernel {
    private final long handle;
    private int allowed = SHARED_MEMORY_WITHOUT_ASKING;

    private Kernel(long handle) {
      this.handle = handle;
    }
  }

  private final CudaQueue queue;
  private final Map<KernelImages, Long> modules = new EnumMap<>(KernelImages.class);
  private final Map<String, Kernel> kernels = new HashMap<>();
  private final LaunchArguments arguments = new LaunchArguments();

  /** Loads modules. */
  Kernels(
      CudaQueue queue, ImmutableList<KernelImages> images, ToLongFunction<KernelImages> loader) {
    this.queue = queue;
    for (KernelImages image : images) {
      modules.put(image, loader.applyAsLong(image));
    }
  }

  /** Starts the arguments of a launch; {@link LaunchArguments} collects them in order. */
  LaunchArguments arguments() {
    return arguments.clear();
  }

  /** Queues a kernel over a grid of blocks with the arguments collected last. */
  void launch(KernelImages image, String name, Geometry geometry, String operation) {
    Kernel kernel = kernels.get(name);
    if (kernel == null) {
      kernel = new Kernel(queue.driver().function(modules.get(image), name));
      kernels.put(name, kernel);
    }
    if (geometry.sharedBytes() > kernel.allowed) {
      queue.driver().allowSharedMemory(kernel.handle, geometry.sharedBytes());
      kernel.allowed = geometry.sharedBytes();
    }
    queue
        .driver()
        .launch(
            kernel.handle,
            geometry.gridX(),
            geometry.gridY(),
            geometry.gridZ(),
            geometry.blockX(),
            geometry.blockY(),
            geometry.sharedBytes(),
            queue.stream(),
            arguments.pointers());
    queue.queued(operation);
  }

  void close() {
    modules.values().forEach(queue.driver()::unloadModule);
  }
}
