package dev.gptq.host;

import dev.gptq.backend.MemoryUsage;
import dev.gptq.tensor.OutOfMemoryException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;

/**
 * Off-heap memory of a CPU backend. Blocks that scopes give back are kept for the next request of
 * the same size class: fresh memory costs a page fault for every 4 KiB and is zeroed by the system.
 * Before a request is refused, all that is kept goes back to the system. Threads may share it.
 */
public final class HostMemory implements AutoCloseable {
  /** Bytes between aligned addresses: a cache line, and the widest vector. */
  public static final int ALIGNMENT = 64;

  // Size classes have at most 1/8 of waste: eight steps from one power of two to the next.
  private static final int STEPS = 8;
  private static final long SMALLEST = 1024;

  private final long limit;
  private final Map<Long, ArrayDeque<MemorySegment>> free = new HashMap<>();

  /** Of each block, by its address. */
  private final Map<Long, Arena> arenas = new HashMap<>();

  private long live;
  private long peak;
  private long reserved;

  /** As much as the heap may take. */
  public HostMemory() {
    this(Runtime.getRuntime().maxMemory());
  }

  /** At most {@code limit} bytes, whether in use or kept for later. */
  public HostMemory(long limit) {
    this.limit = limit;
  }

  /** A block of at least {@code bytes}; its contents are undefined. */
  synchronized MemorySegment acquire(long bytes) {
    long size = sizeClass(bytes);
    ArrayDeque<MemorySegment> kept = free.get(size);
    MemorySegment block = kept == null || kept.isEmpty() ? allocate(size) : kept.pop();
    live += size;
    peak = Math.max(peak, live);
    return block;
  }

  /** Takes back a block of {@link #acquire}. */
  synchronized void release(MemorySegment block) {
    live -= block.byteSize();
    free.computeIfAbsent(block.byteSize(), size -> new ArrayDeque<>()).push(block);
  }

  /** Bytes in use, at most in use, held, and allowed. */
  public synchronized MemoryUsage usage() {
    return new MemoryUsage(live, peak, reserved, limit);
  }

  @Override
  public synchronized void close() {
    arenas.values().forEach(Arena::close);
    arenas.clear();
    free.clear();
  }

  private MemorySegment allocate(long size) {
    if (size > limit - reserved) {
      giveBack();
    }
    if (size > limit - reserved) {
      throw noRoom(size, null);
    }
    try {
      return fresh(size);
    } catch (OutOfMemoryError e) {
      giveBack();
    }
    try {
      return fresh(size);
    } catch (OutOfMemoryError e) {
      throw noRoom(size, e);
    }
  }

  private MemorySegment fresh(long size) {
    Arena arena = Arena.ofShared();
    try {
      MemorySegment block = NativeHeap.allocate(size, ALIGNMENT, arena);
      arenas.put(block.address(), arena);
      reserved += size;
      return block;
    } catch (OutOfMemoryError e) {
      arena.close();
      throw e;
    }
  }

  /** Frees the blocks that are kept for later. */
  private void giveBack() {
    for (ArrayDeque<MemorySegment> blocks : free.values()) {
      for (MemorySegment block : blocks) {
        reserved -= block.byteSize();
        arenas.remove(block.address()).close();
      }
    }
    free.clear();
  }

  private OutOfMemoryException noRoom(long size, OutOfMemoryError cause) {
    return new OutOfMemoryException(
        "no room for "
            + (size >> 20)
            + " MiB of tensors; "
            + (live >> 20)
            + " MiB are in use, of "
            + (limit >> 20)
            + " MiB that may be. Use fewer samples or shorter windows, or a"
            + " machine with more memory",
        cause);
  }

  static long sizeClass(long bytes) {
    long size = Math.max(bytes, SMALLEST);
    long step = Math.max(Long.highestOneBit(size) / STEPS, ALIGNMENT);
    return (size + step - 1) / step * step;
  }
}
