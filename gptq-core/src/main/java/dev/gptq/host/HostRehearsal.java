package dev.gptq.host;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.Footprint;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.QuantizationOps;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.TransformerOps;
import dev.gptq.backend.TuningOps;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.TensorScope;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;

/**
 * Stands in for a CPU backend in a rehearsal. Its operations allocate no tensors of their own, so
 * that they can be left out; what {@link HostMemory} would hold is all that counts.
 */
public final class HostRehearsal implements Backend {
  private final Backend real;
  private final Footprint footprint;
  private final RehearsedScope root;
  private final LinearAlgebra linalg = idle(LinearAlgebra.class);
  private final QuantizationOps quantization = idle(QuantizationOps.class);
  private final PackedMatmul packed = idle(PackedMatmul.class);
  private final TransformerOps transformer = idle(TransformerOps.class);
  private final GradientOps gradients = idle(GradientOps.class);
  private final TuningOps tuning = idle(TuningOps.class);

  private HostRehearsal(Backend real, Footprint footprint) {
    this.real = real;
    this.footprint = footprint;
    this.root = new RehearsedScope(footprint);
  }

  /** The rehearsal of a backend whose tensors lie in a {@link HostMemory}. */
  public static Rehearsal of(Backend real) {
    Footprint footprint = new Footprint();
    return new Rehearsal(new HostRehearsal(real, footprint), footprint);
  }

  /**
   * Operations that return at once, and those that are made of them; what gives something gives
   * nothing.
   */
  private static <T> T idle(Class<T> operations) {
    return operations.cast(
        Proxy.newProxyInstance(
            operations.getClassLoader(),
            new Class<?>[] {operations},
            (proxy, method, arguments) ->
                method.isDefault()
                    ? InvocationHandler.invokeDefault(proxy, method, arguments)
                    : null));
  }

  @Override
  public BackendInfo info() {
    return real.info();
  }

  @Override
  public TensorScope newScope() {
    return root.child();
  }

  @Override
  public DType activationType() {
    return real.activationType();
  }

  @Override
  public LinearAlgebra linalg() {
    return linalg;
  }

  @Override
  public QuantizationOps quantization() {
    return quantization;
  }

  @Override
  public PackedMatmul packed() {
    return packed;
  }

  @Override
  public TransformerOps transformer() {
    return transformer;
  }

  @Override
  public GradientOps gradients() {
    return gradients;
  }

  @Override
  public TuningOps tuning() {
    return tuning;
  }

  @Override
  public int lanes() {
    return real.lanes();
  }

  @Override
  public int devices() {
    return real.devices();
  }

  @Override
  public Backend newLane() {
    throw new UnsupportedOperationException("a rehearsal has no lanes");
  }

  @Override
  public Rehearsal rehearsal() {
    throw new UnsupportedOperationException("this is part of a rehearsal");
  }

  @Override
  public void synchronize() {
    // Nothing is ever queued.
  }

  @Override
  public MemoryUsage memory() {
    return new MemoryUsage(footprint.live(), footprint.peak(), 0, Long.MAX_VALUE);
  }

  @Override
  public void close() {
    root.close();
  }
}
