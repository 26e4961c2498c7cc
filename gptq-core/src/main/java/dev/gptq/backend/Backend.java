package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
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

  /** The backward pass; used by model code only. */
  GradientOps gradients();

  /** Tuning of quantized weights by their gradients. */
  TuningOps tuning();

  /**
   * Number of lanes worth opening for work of which one piece alone cannot fill the device; 1 if
   * lanes gain nothing.
   */
  int lanes();

  /**
   * A lane: another backend on the same device, with a queue of its own and the same memory, whose
   * work runs beside that of this one. It gives the same bits as this one, belongs to the thread
   * that calls this method, which may be any, and is closed by it, before this backend.
   *
   * <p>Either may be given tensors of the other, if it was waited for ({@link #synchronize}) since
   * they were last written, and if the other does not touch them meanwhile. {@link LaneGroup} sees
   * to that.
   */
  Backend newLane();

  /**
   * A lane through which much is copied and that computes little, with what copies of this backend
   * have to be as fast.
   */
  default Backend newCopyingLane() {
    return newLane();
  }

  /**
   * Whether a lane can bring tensors into memory while this backend computes, and it computes no
   * slower for that: a device to which memory is copied by other means than those that compute.
   */
  default boolean copiesBesideWork() {
    return false;
  }

  /** Number of devices of the same kind that work can be dealt to, this one included. */
  default int devices() {
    return 1;
  }

  /**
   * Another backend of the same kind with a device and memory of its own, which gives the same bits
   * as this one. It belongs to the thread that calls this method, which may be any, and is closed
   * by it, before this backend. {@link DeviceGroup} sees to that.
   *
   * @param index 1 for the first beside this one, {@link #devices} less one for the last
   */
  default Backend newDevice(int index) {
    throw new UnsupportedOperationException(info().name() + " has one device only");
  }

  /**
   * Copies a tensor of another device, which was waited for since it was last written and does not
   * change before this backend is waited for.
   *
   * @param from dense
   * @param to dense, of the same type, shape and layout, in the memory of this backend
   */
  default void receive(Tensor from, Tensor to) {
    throw new UnsupportedOperationException(info().name() + " has one device only");
  }

  /**
   * A stand-in for this backend that takes no memory and computes nothing, but counts what would be
   * taken. It belongs to the calling thread, and is closed by it before this backend.
   */
  Rehearsal rehearsal();

  /**
   * Notes what {@code work} queues, without running it, so that it can be queued again and again by
   * one call where the device knows how to; elsewhere each replay runs {@code work}. It may queue
   * operations of this backend that were done once before, with tensors that live as long as the
   * recording; it may neither copy to or from the host nor wait.
   */
  default Recording record(Runnable work) {
    return new Recording() {
      @Override
      public void replay() {
        work.run();
      }

      @Override
      public void close() {
        // Nothing was taken.
      }
    };
  }

  /** Waits for all queued work. */
  void synchronize();

  /** Memory in use. */
  MemoryUsage memory();

  /** Closes all scopes and gives the device back. */
  @Override
  void close();
}
