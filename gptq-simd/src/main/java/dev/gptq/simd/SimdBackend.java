package dev.gptq.simd;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.LaneGroup;
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
import dev.gptq.simd.kernels.RoundedKernels;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.TensorScope;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The CPU backend on vectors. Every operation has finished when it returns. Lanes share out the
 * workers: few cores for all of a small solve beat all cores for each of its operations.
 */
final class SimdBackend implements Backend {
  /** The setting that says how many lanes there are. */
  static final String LANES = "simd.lanes";

  private final HostMemory memory;

  /** Bytes of scratch of this backend and its lanes. */
  private final AtomicLong scratch;

  private final HostScope root;
  private final int lanes;
  private final boolean isLane;
  private final Execution execution;
  private final LinearAlgebra linalg;
  private final QuantizationOps quantization;
  private final PackedMatmul packed;
  private final ActivationMode activations;
  private final KernelChoice kernels;
  private final TransformerOps transformer;
  private final GradientOps gradients;
  private final TuningOps tuning;

  SimdBackend(BackendOptions options) {
    this(
        new HostMemory(MachineMemory.forTensors()),
        new AtomicLong(),
        options.threads(),
        lanes(options),
        false,
        ActivationMode.of(options),
        KernelChoice.of(options));
  }

  private static int lanes(BackendOptions options) {
    return options.positive(LANES, Math.min(LaneGroup.MOST, options.threads()));
  }

  private SimdBackend(
      HostMemory memory,
      AtomicLong scratch,
      int threads,
      int lanes,
      boolean isLane,
      ActivationMode activations,
      KernelChoice kernels) {
    this.memory = memory;
    this.scratch = scratch;
    this.root = new HostScope(memory);
    this.lanes = lanes;
    this.isLane = isLane;
    execution = new Execution(threads, scratch, kernels.kernels().map(RoundedKernels::dense));
    OutsideForward outside =
        new OutsideForward(
            execution,
            kernels.kernels().map(RoundedKernels::forward),
            activations.roundsHistory(kernels.kernels().isPresent()));
    linalg = new SimdLinearAlgebra(execution, outside);
    quantization =
        new SimdQuantizationOps(execution, kernels.kernels().map(RoundedKernels::columns));
    packed = new SimdPackedMatmul(execution, activations, kernels.kernels());
    this.activations = activations;
    this.kernels = kernels;
    transformer = new SimdTransformerOps(execution, outside);
    gradients = new SimdGradientOps(execution);
    tuning = new SimdTuningOps(execution);
  }

  @Override
  public BackendInfo info() {
    int threads = execution.pool().workers();
    return new BackendInfo(
        SimdBackendProvider.NAME,
        SimdBackendProvider.device(threads),
        ImmutableMap.of(
            "vector bits",
            Integer.toString(8 * Lanes.BYTES),
            "threads",
            Integer.toString(threads),
            "activations",
            activations.id(),
            "kernels",
            kernels.text()));
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
    return lanes;
  }

  @Override
  public Backend newLane() {
    int workers = Math.max(1, execution.pool().workers() / lanes);
    return new SimdBackend(memory, scratch, workers, 1, true, activations, kernels);
  }

  @Override
  public Rehearsal rehearsal() {
    return HostRehearsal.of(this);
  }

  @Override
  public void synchronize() {
    // Nothing is ever queued.
  }

  @Override
  public MemoryUsage memory() {
    MemoryUsage tensors = memory.usage();
    return new MemoryUsage(
        tensors.live(), tensors.peak(), tensors.reserved() + scratch.get(), tensors.most());
  }

  @Override
  public void close() {
    execution.close();
    root.close();
    if (!isLane) {
      memory.close();
    }
  }
}
