package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.TensorScope;

/**
 * One device with one ordered queue of work. Operations may return before they have run; their
 * failures surface, with the operation's name, at the next {@link #synchronize} or copy to the
 * host. An instance belongs to one caller thread.
 *
 * <p>Two kinds of operations: <em>exact</em> ones (fitting grids, quantizing, dequantizing) give
 * the same bits on every backend; <em>tolerant</em> ones (matrix products, factorisations,
 * attention) choose their own order of summation. Either way the same backend with the same options
 * and input gives the same bits each time.
 */
public interface Backend extends AutoCloseable {

  /** Name, device and features. */
  BackendInfo info();

  /** A scope that closes no later than this backend. */
  TensorScope newScope();

  /** The type in which this backend keeps dense weights and activations: F32 or BF16. */
  DType activationType();

  /** BLAS- and LAPACK-shaped operations. */
  LinearAlgebra linalg();

  /** Grids, the GPTQ column loop, rounding to nearest. */
  QuantizationOps quantization();

  /** Products with packed weights. */
  PackedMatmul packed();

  /** The forward pass; used by model code only. */
  TransformerOps transformer();

  /** Waits for all queued work. */
  void synchronize();

  /** Memory in use. */
  MemoryUsage memory();

  /** Closes all scopes and gives the device back. */
  @Override
  void close();
}
