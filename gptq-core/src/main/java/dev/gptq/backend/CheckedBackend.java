package dev.gptq.backend;

import com.google.common.base.Preconditions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * Checks the arguments of every operation, in one place for all backends, before it reaches the
 * backend: shapes, types, layouts, and that the caller is the thread that opened it. A backend may
 * therefore rely on the contracts of the operations.
 */
public final class CheckedBackend implements Backend {
  private final Backend backend;
  private final Thread owner = Thread.currentThread();
  private final LinearAlgebra linalg;
  private final QuantizationOps quantization;
  private final PackedMatmul packed;
  private final TransformerOps transformer;
  private final GradientOps gradients;
  private final TuningOps tuning;

  /** Wraps a backend; the calling thread owns it from now on. */
  public CheckedBackend(Backend backend) {
    this.backend = backend;
    this.linalg = new CheckedLinearAlgebra(backend.linalg());
    this.quantization = new CheckedQuantizationOps(backend.quantization());
    this.packed = new CheckedPackedMatmul(backend.packed(), backend.activationType());
    this.transformer = new CheckedTransformerOps(backend.transformer(), backend.activationType());
    this.gradients = new CheckedGradientOps(backend.gradients(), backend.activationType());
    this.tuning = new CheckedTuningOps(backend.tuning());
  }

  @Override
  public BackendInfo info() {
    return backend.info();
  }

  @Override
  public TensorScope newScope() {
    checkThread();
    return backend.newScope();
  }

  @Override
  public DType activationType() {
    return backend.activationType();
  }

  @Override
  public LinearAlgebra linalg() {
    checkThread();
    return linalg;
  }

  @Override
  public QuantizationOps quantization() {
    checkThread();
    return quantization;
  }

  @Override
  public PackedMatmul packed() {
    checkThread();
    return packed;
  }

  @Override
  public TransformerOps transformer() {
    checkThread();
    return transformer;
  }

  @Override
  public GradientOps gradients() {
    checkThread();
    return gradients;
  }

  @Override
  public TuningOps tuning() {
    checkThread();
    return tuning;
  }

  @Override
  public int lanes() {
    return backend.lanes();
  }

  /** A lane with the same checks, which belongs to the calling thread. */
  @Override
  public Backend newLane() {
    return new CheckedBackend(backend.newLane());
  }

  /** A lane with the same checks, which belongs to the calling thread. */
  @Override
  public Backend newCopyingLane() {
    return new CheckedBackend(backend.newCopyingLane());
  }

  @Override
  public boolean copiesBesideWork() {
    return backend.copiesBesideWork();
  }

  @Override
  public int devices() {
    return backend.devices();
  }

  /** A backend with the same checks, which belongs to the calling thread. */
  @Override
  public Backend newDevice(int index) {
    Preconditions.checkElementIndex(index, devices());
    return new CheckedBackend(backend.newDevice(index));
  }

  @Override
  public void receive(Tensor from, Tensor to) {
    checkThread();
    Preconditions.checkArgument(
        from.type() == to.type()
            && from.rows() == to.rows()
            && from.columns() == to.columns()
            && from.layout() == to.layout(),
        "%s cannot be received as %s",
        from,
        to);
    backend.receive(from, to);
  }

  @Override
  public Rehearsal rehearsal() {
    checkThread();
    return backend.rehearsal();
  }

  @Override
  public Recording record(Runnable work) {
    checkThread();
    return backend.record(work);
  }

  @Override
  public void synchronize() {
    checkThread();
    backend.synchronize();
  }

  @Override
  public MemoryUsage memory() {
    return backend.memory();
  }

  @Override
  public void close() {
    backend.close();
  }

  private void checkThread() {
    if (!Thread.currentThread().equals(owner)) {
      throw new IllegalStateException(
          "backend "
              + info().name()
              + " belongs to thread "
              + owner.getName()
              + " but was called from "
              + Thread.currentThread().getName());
    }
  }
}
