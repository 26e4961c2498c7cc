package dev.gptq.cuda;

import dev.gptq.backend.Footprint;
import dev.gptq.backend.MemoryUsage;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.tensor.OutOfMemoryException;
import java.util.HashMap;
import java.util.Map;

/**
 * Device memory from the driver's stream-ordered pool: both taking and giving back are queued, so
 * that a block can be given back while kernels that use it still wait. Lanes take blocks from the
 * same pool, each in the order of its own stream, and are counted together.
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

  /** By the address in units of the alignment, whose lower bits are not all the same. */
  private final Map<Long, Long> sizes = new HashMap<>();

  /** Bytes in use by a backend and its lanes. */
  private final Footprint footprint;

  CudaMemory(CudaQueue queue, CudaDevice device) {
    this(queue, device, new Footprint());
    queue.driver().keepFreedMemory(device.index());
  }

  /** Memory that is counted with other memory. */
  CudaMemory(CudaQueue queue, CudaDevice device, Footprint footprint) {
    this.queue = queue;
    this.device = device;
    this.footprint = footprint;
  }

  /** The same memory for another queue. */
  CudaMemory on(CudaQueue other) {
    return new CudaMemory(other, device, footprint);
  }

  /** Whether both take blocks for one backend. */
  boolean isSharedWith(CudaMemory other) {
    return footprint == other.footprint;
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
              + (device.index() == 0 ? "" : " (GPU " + device.index() + ")")
              + " has no room for "
              + (size >> 20)
              + " MiB more: "
              + (footprint.live() >> 20)
              + " MiB of tensors are in use, "
              + (device.memory() >> 20)
              + " MiB are all it has. Use fewer samples or shorter windows, or a GPU with more"
              + " memory, and check that no other process uses this one");
    }
    sizes.put(address / ALIGNMENT, size);
    footprint.add(size);
    return address;
  }

  /** Gives a block of {@link #acquire} back. */
  void release(long address) {
    footprint.add(-sizes.remove(address / ALIGNMENT));
    queue.driver().free(address, queue.stream());
  }

  /** Bytes in use, without asking a device that may have failed. */
  long live() {
    return footprint.live();
  }

  MemoryUsage usage() {
    CudaDriver driver = queue.driver();
    long reserved = driver.pooledMemory(device.index());
    long free = driver.freeMemory();
    // What a lane takes from the device meanwhile must not be missing from both.
    for (long now = driver.pooledMemory(device.index());
        now != reserved;
        now = driver.pooledMemory(device.index())) {
      reserved = now;
      free = driver.freeMemory();
    }
    return new MemoryUsage(footprint.live(), footprint.peak(), reserved, reserved + free);
  }
}
