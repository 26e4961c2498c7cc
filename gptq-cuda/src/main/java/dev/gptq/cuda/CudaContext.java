package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaSolver;
import dev.gptq.tensor.Tensor;

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

  /** For the work of a queue of the current context. */
  static CudaContext of(
      CudaDevice device, CudaQueue queue, KernelModules modules, CudaLibraries libraries) {
    return new CudaContext(
        device,
        queue,
        new CudaMemory(queue, device),
        new Staging(queue, Staging.BUFFER_BYTES),
        new Kernels(queue, modules),
        libraries.blas().apply(queue.stream()),
        libraries.solver().apply(queue.stream()),
        libraries);
  }

  /** Makes the device's context that of this thread too, with a queue of its own. */
  CudaContext newLane() {
    queue.driver().enterContext(device.index());
    CudaQueue own = queue.another();
    return new CudaContext(
        device,
        own,
        memory.on(own),
        new Staging(own, Staging.LANE_BUFFER_BYTES),
        new Kernels(own, kernels.modules()),
        libraries.blas().apply(own.stream()),
        libraries.solver().apply(own.stream()),
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
