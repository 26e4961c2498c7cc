package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaSolver;
import dev.gptq.tensor.Tensor;

/**
 * What the operations of one backend share.
 *
 * @param device the GPU
 * @param queue the ordered work
 * @param memory device memory
 * @param staging the way in and out
 * @param kernels our own kernels
 * @param blas matrix products
 * @param solver factorisations
 */
record CudaContext(
    CudaDevice device,
    CudaQueue queue,
    CudaMemory memory,
    Staging staging,
    Kernels kernels,
    CudaBlas blas,
    CudaSolver solver) {

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

  /** Whether a scope holds memory of this backend. */
  boolean owns(CudaScope scope) {
    return scope.context().queue() == queue;
  }
}
