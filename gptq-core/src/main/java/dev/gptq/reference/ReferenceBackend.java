package dev.gptq.reference;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.QuantizationOps;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.TransformerOps;
import dev.gptq.backend.TuningOps;
import dev.gptq.host.HostMemory;
import dev.gptq.host.HostRehearsal;
import dev.gptq.host.HostScope;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.TensorScope;

/**
 * The definition of every operation, in scalar code that sums in float64: what the other backends
 * are tested against, and the last resort on a CPU without vector instructions.
 */
final class ReferenceBackend implements Backend {
  private final HostMemory memory;
  private final HostScope root;
  private final boolean isLane;

  ReferenceBackend() {
    this(new HostMemory(), false);
  }

  private ReferenceBackend(HostMemory memory, boolean isLane) {
    this.memory = memory;
    this.root = new HostScope(memory);
    this.isLane = isLane;
  }

  @Override
  public BackendInfo info() {
    return new BackendInfo(
        ReferenceBackendProvider.NAME,
        ReferenceBackendProvider.DEVICE,
        ImmutableMap.of("accumulation", "float64"));
  }

  @Override
  public TensorScope newScope() {
    return root.child();
  }

  @Override
  public DType activationType() {
    return DType.F32;
  }

  @Override
  public LinearAlgebra linalg() {
    return new ReferenceLinearAlgebra();
  }

  @Override
  public QuantizationOps quantization() {
    return new ReferenceQuantizationOps();
  }

  @Override
  public PackedMatmul packed() {
    return new ReferencePackedMatmul();
  }

  @Override
  public TransformerOps transformer() {
    return new ReferenceTransformerOps();
  }

  @Override
  public GradientOps gradients() {
    return new ReferenceGradientOps();
  }

  @Override
  public TuningOps tuning() {
    return new ReferenceTuningOps();
  }

  @Override
  public int lanes() {
    return 1;
  }

  @Override
  public Backend newLane() {
    return new ReferenceBackend(memory, true);
  }

  @Override
  public Rehearsal rehearsal() {
    return HostRehearsal.of(this);
  }

  @Override
  public void synchronize() {
    // Every operation has finished when it returns.
  }

  @Override
  public MemoryUsage memory() {
    return memory.usage();
  }

  @Override
  public void close() {
    root.close();
    if (!isLane) {
      memory.close();
    }
  }
}
