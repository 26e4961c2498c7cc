package dev.gptq.cuda;

/** Launches kernels into a queue. */
final class Kernels {
  private final CudaQueue queue;
  private final KernelModules modules;
  private final LaunchArguments arguments = new LaunchArguments();

  Kernels(CudaQueue queue, KernelModules modules) {
    this.queue = queue;
    this.modules = modules;
  }

  KernelModules modules() {
    return modules;
  }

  /** Starts the arguments of a launch; {@link LaunchArguments} collects them in order. */
  LaunchArguments arguments() {
    return arguments.clear();
  }

  /** Queues a kernel over a grid of blocks with the arguments collected last. */
  void launch(KernelImages image, String name, Geometry geometry, String operation) {
    queue
        .driver()
        .launch(
            modules.handle(image, name, geometry.sharedBytes()),
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
}
