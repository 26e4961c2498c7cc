package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.tensor.Tensor;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/** The GPUs that work can be dealt to, all of one model, and the ways between them. */
final class CudaDevices {
  private static final System.Logger LOG = System.getLogger("dev.gptq.cuda");

  /** A way from a device to another. */
  private record Way(int from, int to) {}

  private final ImmutableList<CudaDevice> devices;
  private final Function<CudaDevice, CudaContext> open;
  private final Set<Way> known = ConcurrentHashMap.newKeySet();

  /**
   * Devices.
   *
   * @param open makes a device's context that of the calling thread
   */
  CudaDevices(ImmutableList<CudaDevice> devices, Function<CudaDevice, CudaContext> open) {
    this.devices = devices;
    this.open = open;
  }

  CudaDevice first() {
    return devices.getFirst();
  }

  int count() {
    return devices.size();
  }

  /** Makes a device's context that of this thread. */
  CudaContext open(int index) {
    return open.apply(devices.get(index));
  }

  /** Queues a copy from another device, and finds out how the two are connected at the first. */
  void copy(Tensor from, CudaTensor to) {
    Preconditions.checkArgument(
        from instanceof CudaTensor, "%s was not made by a cuda backend", from);
    CudaTensor source = (CudaTensor) from;
    Preconditions.checkArgument(
        source.isDense() && to.isDense(), "only dense tensors go from device to device");
    CudaContext here = to.scope().context();
    int there = source.scope().context().device().index();
    int index = here.device().index();
    if (known.add(new Way(there, index))) {
      LOG.log(
          System.Logger.Level.DEBUG,
          "GPU {0} to {1}: {2}",
          there,
          index,
          here.queue().driver().reach(index, there) ? "peer copies" : "through the host");
    }
    if (!to.isEmpty()) {
      here.queue()
          .driver()
          .copyFromDevice(
              to.address(), index, source.address(), there, to.byteSize(), here.queue().stream());
    }
  }
}
