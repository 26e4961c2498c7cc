package dev.gptq.cuda;

import dev.gptq.backend.MemoryUsage;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.tensor.OutOfMemoryException;
import java.util.HashMap;
import java.util.Map;

/**
 * Device memory from the driver's stream-ordered pool: both taking and giving back are queued, so
 * that a block can be given back while kernels that use it still wait.
 */
final class CudaMemory {
  // The pool's own granularity.
  private static final long ALIGNMENT = 512;

  /** Device memory that an operation needs while it runs. */
  final class Scratch implements AutoCloseable {
    private final long address;

    private Scratch(long bytes) {
      this.address = acquire(bytes);
    }

    long address() {
      return address;
    }

    @Override
    public void close() {
      release(address);
    }
  }

  private final CudaQueue queue;
  private final CudaDevice device;
  private final Map<Long, Long> sizes = new HashMap<>();
  private long live;
  private long peak;

  CudaMemory(CudaQueue queue, CudaDevice device) {
    this.queue = queue;
    this.device = device;
    queue.driver().keepFreedMemory(device.index());
  }

  /** Memory of at least {@code bytes} until it is closed. */
  Scratch scratch(long bytes) {
    return new Scratch(bytes);
  }

  /** The address of a block of at least {@code bytes}; its contents are undefined. */
  long acquire(long bytes) {
    long size = Math.max(1, Math.ceilDiv(bytes, ALIGNMENT)) * ALIGNMENT;
    CudaDriver driver = queue.driver();
    long address = driver.allocate(size, queue.stream());
    if (address == 0) {
      // What is free may be too scattered: give it back, and ask for one piece.
      queue.synchronize();
      driver.trimPool(device.index());
      address = driver.allocate(size, queue.stream());
    }
    if (address == 0) {
      throw new OutOfMemoryException(
          device.name()
              + " has no room for "
              + (size >> 20)
              + " MiB more: "
              + (live >> 20)
              + " MiB of tensors are in use, "
              + (device.memory() >> 20)
              + " MiB are all it has. Use fewer samples or shorter windows, or a GPU with more"
              + " memory, and check that no other process uses this one");
    }
    sizes.put(address, size);
    live += size;
    peak = Math.max(peak, live);
    return address;
  }

  /** Gives a block of {@link #acquire} back. */
  void release(long address) {
    live -= sizes.remove(address);
    queue.driver().free(address, queue.stream());
  }

  MemoryUsage usage() {
    return new MemoryUsage(live, peak, queue.driver().pooledMemory(device.index()));
  }
}
