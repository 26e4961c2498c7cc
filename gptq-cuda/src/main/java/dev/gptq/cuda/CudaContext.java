package dev.gptq.cuda;

import dev.gptq.backend.Footprint;
import dev.gptq.backend.Holdings;
import dev.gptq.cuda.driver.Begun;
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
 * @param products matrix products
 * @param factorisations by cuSOLVER
 * @param libraries where lanes get their handles
 */
record CudaContext(
    CudaDevice device,
    CudaQueue queue,
    CudaMemory memory,
    Staging staging,
    Kernels kernels,
    Late<CudaBlas> products,
    Late<CudaSolver> factorisations,
    CudaLibraries libraries) {

  /**
   * Makes the device's context that of this thread, with a queue for the work. The libraries, which
   * take long, are opened beside the rest.
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
      Late<CudaBlas> products = products(queue, libraries, taken);
      Late<CudaSolver> factorisations = factorisations(queue, libraries, taken);
      Begun<CudaSolver> opening =
          Begun.of("gptq-cuda-libraries", () -> open(driver, device, products, factorisations));
      taken.add(opening::await);
      KernelModules loaded = taken.add(modules.get(), KernelModules::close);
      CudaContext context =
          new CudaContext(
              device,
              queue,
              new CudaMemory(queue, device),
              taken.add(new Staging(queue, Staging.BUFFER_BYTES), Staging::close),
              new Kernels(queue, loaded),
              products,
              factorisations,
              libraries);
      opening.result();
      return context;
    });
  }

  /** Opens the libraries on a thread that has not entered the context. */
  private static CudaSolver open(
      CudaDriver driver, CudaDevice device, Late<CudaBlas> products, Late<CudaSolver> solver) {
    try (Holdings entered = new Holdings()) {
      enter(driver, device, entered);
      products.get();
      return solver.get();
    }
  }

  private static Late<CudaBlas> products(CudaQueue queue, CudaLibraries of, Holdings taken) {
    return taken.add(
        new Late<>(() -> of.blas().apply(queue.stream()), CudaBlas::close), Late::close);
  }

  private static Late<CudaSolver> factorisations(
      CudaQueue queue, CudaLibraries of, Holdings taken) {
    return taken.add(
        new Late<>(() -> of.solver().apply(queue.stream()), CudaSolver::close), Late::close);
  }

  CudaBlas blas() {
    return products.get();
  }

  CudaSolver solver() {
    return factorisations.get();
  }

  /**
   * Makes the device's context that of this thread too, with a queue of its own.
   *
   * @param stagingBytes of each buffer on the way in and out
   * @param computes whether libraries are opened now, and not once they are needed
   */
  CudaContext newLane(long stagingBytes, boolean computes) {
    return Holdings.allOrNothing(taken -> {
      enter(queue.driver(), device, taken);
      CudaQueue own = taken.add(queue.another(), CudaQueue::close);
      CudaContext lane =
          new CudaContext(
              device,
              own,
              memory.on(own),
              taken.add(new Staging(own, stagingBytes), Staging::close),
              new Kernels(own, kernels.modules()),
              products(own, libraries, taken),
              factorisations(own, libraries, taken),
              libraries);
      if (computes) {
        lane.blas();
        lane.solver();
      }
      return lane;
    });
  }

  private static void enter(CudaDriver driver, CudaDevice device, Holdings taken) {
    driver.enterContext(device.index());
    taken.add(() -> driver.leaveContext(device.index()));
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
      all.add(products::close);
      all.add(factorisations::close);
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
        new Late<>(IdleDevice::blas, CudaBlas::close),
        new Late<>(() -> IdleDevice.solver(solver()), CudaSolver::close),
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
