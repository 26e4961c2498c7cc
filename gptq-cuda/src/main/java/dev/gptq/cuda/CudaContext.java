package dev.gptq.cuda;

import dev.gptq.backend.Footprint;
import dev.gptq.backend.Holdings;
import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaSolver;
import dev.gptq.tensor.Tensor;
import java.util.function.Supplier;

/**
 * What the operations of one backend, or one lane of it, share.
 *
 * @param device the GPU
 * @param queue the ordered work
 * @param memory device memory
 * @param staging the way in and out
 * @param kernels our own kernels
 * @param blas matrix products
 * @param solver factorisations
 * @param libraries where lanes get their handles
 */
record CudaContext(
    CudaDevice device,
    CudaQueue queue,
    CudaMemory memory,
    Staging staging,
    Kernels kernels,
    CudaBlas blas,
    CudaSolver solver,
    CudaLibraries libraries) {

  /**
   * Makes the device's context that of this thread, with a queue for the work.
   *
   * @param modules loads the kernels into the context
   */
  static CudaContext open(
      CudaDriver driver,
      CudaDevice device,
      boolean synchronous,
      Supplier<KernelModules> modules,
      CudaLibraries libraries) {
    return Holdings.allOrNothing(taken -> {
      enter(driver, device, taken);
      CudaQueue queue = taken.add(new CudaQueue(driver, synchronous), CudaQueue::close);
      KernelModules loaded = taken.add(modules.get(), KernelModules::close);
      CudaMemory memory = new CudaMemory(queue, device);
      return of(device, queue, memory, Staging.BUFFER_BYTES, loaded, libraries, taken);
    });
  }

  /** Makes the device's context that of this thread too, with a queue of its own. */
  CudaContext newLane() {
    return Holdings.allOrNothing(taken -> {
      enter(queue.driver(), device, taken);
      CudaQueue own = taken.add(queue.another(), CudaQueue::close);
      long bytes = Staging.LANE_BUFFER_BYTES;
      return of(device, own, memory.on(own), bytes, kernels.modules(), libraries, taken);
    });
  }

  private static void enter(CudaDriver driver, CudaDevice device, Holdings taken) {
    driver.enterContext(device.index());
    taken.add(() -> driver.leaveContext(device.index()));
  }

  private static CudaContext of(
      CudaDevice device,
      CudaQueue queue,
      CudaMemory memory,
      long stagingBytes,
      KernelModules modules,
      CudaLibraries libraries,
      Holdings taken) {
    return new CudaContext(
        device,
        queue,
        memory,
        taken.add(new Staging(queue, stagingBytes), Staging::close),
        new Kernels(queue, modules),
        taken.add(libraries.blas().apply(queue.stream()), CudaBlas::close),
        taken.add(libraries.solver().apply(queue.stream()), CudaSolver::close),
        libraries);
  }

  /** Gives back what was taken for this queue, and what its lanes shared unless it is a lane. */
  void close(boolean isLane) {
    CudaDriver driver = queue.driver();
    try (Holdings all = new Holdings()) {
      all.add(() -> driver.leaveContext(device.index()));
      if (!isLane) {
        all.add(() -> driver.trimPool(device.index()));
        all.add(kernels.modules()::close);
      }
      all.add(queue::close);
      all.add(staging::close);
      all.add(blas::close);
      all.add(solver::close);
      all.add(queue::synchronize);
    }
  }

  /** The same device with nothing behind it: memory is counted, work is dropped. */
  CudaContext rehearsal(Footprint footprint) {
    CudaDriver idle = IdleDevice.driver();
    CudaQueue own = new CudaQueue(idle, false);
    return new CudaContext(
        device,
        own,
        new CudaMemory(own, device, footprint),
        new IdleStaging(own),
        new Kernels(own, new KernelModules(idle, KernelImages.of(device), image -> 0)),
        IdleDevice.blas(),
        IdleDevice.solver(solver),
        libraries);
  }

  /** The device tensor behind a handle. Throws if it belongs to another backend. */
  CudaTensor tensor(Tensor tensor) {
    if (tensor instanceof CudaTensor t) {
      if (!owns(t.scope())) {
        throw new IllegalArgumentException("a tensor of another cuda backend was passed");
      }
      t.scope().checkOpen();
      return t;
    }
    throw new IllegalArgumentException(
        "a tensor of another backend ("
            + tensor.getClass().getSimpleName()
            + ") was passed to the cuda backend");
  }

  /** Whether a scope holds memory of this backend or one of its lanes. */
  boolean owns(CudaScope scope) {
    return scope.context().memory().isSharedWith(memory);
  }
}
