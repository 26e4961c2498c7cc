package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.CheckedBackend;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.QuantizationOps;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.TransformerOps;
import dev.gptq.backend.TuningOps;
import dev.gptq.host.HostRehearsal;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntFunction;

/** A CPU backend that says it has several devices, each a backend of its own. */
final class SeveralDevices implements Backend {
  private final Backend backend;
  private final int count;
  private final IntFunction<Backend> open;
  private final List<MemoryUsage> closed;

  private SeveralDevices(
      Backend backend, int count, IntFunction<Backend> open, List<MemoryUsage> closed) {
    this.backend = backend;
    this.count = count;
    this.open = open;
    this.closed = closed;
  }

  /**
   * Several devices.
   *
   * @param open opens the device of an index
   * @param closed gets the memory of each when it was closed
   */
  static Backend of(int count, IntFunction<Backend> open, List<MemoryUsage> closed) {
    return new CheckedBackend(new SeveralDevices(open.apply(0), count, open, closed));
  }

  /** Where the memory of devices is noted, by all of their threads. */
  static List<MemoryUsage> notes() {
    return new CopyOnWriteArrayList<>();
  }

  @Override
  public BackendInfo info() {
    return backend.info();
  }

  @Override
  public TensorScope newScope() {
    return backend.newScope();
  }

  @Override
  public DType activationType() {
    return backend.activationType();
  }

  @Override
  public LinearAlgebra linalg() {
    return backend.linalg();
  }

  @Override
  public QuantizationOps quantization() {
    return backend.quantization();
  }

  @Override
  public PackedMatmul packed() {
    return backend.packed();
  }

  @Override
  public TransformerOps transformer() {
    return backend.transformer();
  }

  @Override
  public GradientOps gradients() {
    return backend.gradients();
  }

  @Override
  public TuningOps tuning() {
    return backend.tuning();
  }

  @Override
  public int lanes() {
    return backend.lanes();
  }

  @Override
  public Backend newLane() {
    return new SeveralDevices(backend.newLane(), count, open, notes());
  }

  @Override
  public int devices() {
    return count;
  }

  @Override
  public Backend newDevice(int index) {
    return new SeveralDevices(open.apply(index), count, open, closed);
  }

  @Override
  public void receive(Tensor from, Tensor to) {
    try (Arena arena = Arena.ofConfined();
        TensorScope local = backend.newScope()) {
      MemorySegment bytes = arena.allocate(from.byteSize());
      from.copyTo(bytes);
      Tensor copy = local.upload(bytes, to.type(), to.rows(), to.columns(), to.layout());
      backend.linalg().convert(copy, to);
    }
  }

  @Override
  public Rehearsal rehearsal() {
    return HostRehearsal.of(this);
  }

  @Override
  public void synchronize() {
    backend.synchronize();
  }

  @Override
  public MemoryUsage memory() {
    return backend.memory();
  }

  @Override
  public void close() {
    closed.add(backend.memory());
    backend.close();
  }
}
