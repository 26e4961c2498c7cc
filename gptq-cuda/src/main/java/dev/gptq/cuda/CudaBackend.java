package dev.gptq.cuda;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendInfo;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Footprint;
import dev.gptq.backend.GradientOps;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.backend.PackedMatmul;
import dev.gptq.backend.QuantizationOps;
import dev.gptq.backend.Recording;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.TransformerOps;
import dev.gptq.backend.TuningOps;
import dev.gptq.cuda.driver.NativeCudaBlas;
import dev.gptq.cuda.driver.NativeCudaSolver;
import dev.gptq.cuda.driver.Nvrtc;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.nio.file.Path;

/**
 * One NVIDIA GPU with one ordered stream of work. A lane has a stream, staging buffers and library
 * handles of its own; context, kernels and memory pool are shared.
 */
final class CudaBackend implements Backend {
  /** The setting that chooses the activations' type: {@code bf16} or {@code f32}. */
  static final String ACTIVATIONS = "cuda.activations";

  /** The setting that says how many lanes there are. */
  static final String LANES = "cuda.lanes";

  /** Solves of an expert's size that keep a GPU of a hundred multiprocessors busy. */
  private static final int DEFAULT_LANES = 8;

  private static final System.Logger LOG = System.getLogger("dev.gptq.cuda");

  private final BackendInfo info;
  private final CudaContext context;
  private final CudaDevices devices;
  private final CudaScope root;
  private final DType activationType;
  private final int lanes;
  private final boolean isLane;
  private final CudaLinearAlgebra linalg;
  private final QuantizationOps quantization;
  private final PackedMatmul packed;
  private final TransformerOps transformer;
  private final GradientOps gradients;
  private final TuningOps tuning;
  private boolean open = true;

  /** Takes the device's primary context; everything that follows happens on this thread. */
  static CudaBackend open(CudaPlatform platform, BackendOptions options) {
    return open(
        options,
        info(platform),
        new CudaDevices(platform.devices(), device -> context(platform, device, options)));
  }

  /** A backend on a context that is opened once the options are known to be right. */
  static CudaBackend open(BackendOptions options, BackendInfo info, CudaDevices devices) {
    DType activations = activationType(options);
    int lanes = options.positive(LANES, DEFAULT_LANES);
    return new CudaBackend(devices.open(0), devices, activations, info, lanes, false);
  }

  private CudaBackend(
      CudaContext context,
      CudaDevices devices,
      DType activationType,
      BackendInfo info,
      int lanes,
      boolean isLane) {
    this.context = context;
    this.devices = devices;
    this.activationType = activationType;
    this.info = info;
    this.lanes = lanes;
    this.isLane = isLane;
    this.root = new CudaScope(context);
    this.linalg = new CudaLinearAlgebra(context);
    this.quantization = new CudaQuantizationOps(context, linalg);
    this.packed = new CudaPackedMatmul(context, activationType);
    this.transformer = new CudaTransformerOps(context, activationType);
    this.gradients = new CudaGradientOps(context, activationType);
    this.tuning = new CudaTuningOps(context);
  }

  private static CudaContext context(
      CudaPlatform platform, CudaDevice device, BackendOptions options) {
    KernelLoader loader =
        new KernelLoader(
            platform.driver(),
            device,
            platform.compiler().map(Nvrtc::new),
            KernelCache.of(System.getenv(), Path.of(System.getProperty("user.home"))));
    return CudaContext.open(
        platform.driver(),
        device,
        Boolean.parseBoolean(options.settings().get(CudaQueue.SYNCHRONOUS)),
        () -> new KernelModules(platform.driver(), KernelImages.of(device), loader::load),
        new CudaLibraries(
            stream -> new NativeCudaBlas(platform.blas(), stream),
            stream -> new NativeCudaSolver(platform.solver(), stream)));
  }

  private static BackendInfo info(CudaPlatform platform) {
    return new BackendInfo(CudaBackendProvider.NAME, platform.device().name(), platform.features());
  }

  static DType activationType(BackendOptions options) {
    String name = options.settings().getOrDefault(ACTIVATIONS, "bf16");
    return switch (name) {
      case "bf16" -> DType.BF16;
      case "f32" -> DType.F32;
      default ->
          throw new IllegalArgumentException(
              ACTIVATIONS + " must be bf16 or f32 but is '" + name + "'");
    };
  }

  @Override
  public BackendInfo info() {
    return info;
  }

  @Override
  public TensorScope newScope() {
    return root.child();
  }

  @Override
  public DType activationType() {
    return activationType;
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
    return lane(context.newLane(Staging.LANE_BUFFER_BYTES, true));
  }

  @Override
  public Backend newCopyingLane() {
    return lane(context.newLane(Staging.BUFFER_BYTES, false));
  }

  private CudaBackend lane(CudaContext own) {
    return new CudaBackend(own, devices, activationType, info, 1, true);
  }

  @Override
  public boolean copiesBesideWork() {
    return true;
  }

  @Override
  public int devices() {
    return devices.count();
  }

  @Override
  public Backend newDevice(int index) {
    return new CudaBackend(devices.open(index), devices, activationType, info, lanes, false);
  }

  @Override
  public void receive(Tensor from, Tensor to) {
    devices.copy(from, context.tensor(to));
    context.queue().queued("receive");
  }

  @Override
  public Rehearsal rehearsal() {
    Footprint footprint = new Footprint();
    return new Rehearsal(
        new CudaBackend(context.rehearsal(footprint), devices, activationType, info, lanes, false),
        footprint);
  }

  @Override
  public Recording record(Runnable work) {
    return context.queue().record(work);
  }

  @Override
  public void synchronize() {
    context.queue().synchronize();
  }

  @Override
  public MemoryUsage memory() {
    return context.memory().usage();
  }

  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    if (root.openChildren() > 0) {
      LOG.log(
          System.Logger.Level.WARNING,
          "{0} tensor scopes were still open, with {1} bytes, when the cuda backend was closed",
          root.openChildren(),
          context.memory().live());
    }
    try (Holdings all = new Holdings()) {
      all.add(() -> context.close(isLane));
      all.add(root::close);
    }
  }
}
