package dev.gptq.simd;

import dev.gptq.host.NativeHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Scratch that operations reuse: one buffer for each use and worker, grown on demand. The caller's
 * thread asks before it hands out tasks, so no task ever allocates.
 */
final class Workspace implements AutoCloseable {
  private static final int ALIGNMENT = 64;

  /** What a buffer is for; two uses that overlap in time are two constants. */
  enum Use {
    PANELS_A,
    PANELS_B,
    TILE,
    CONVERTED,
    RESULT,
    FACTOR,
    STRIP,
    PRODUCT,
    BEAM,
    GATHERED,
    ROUNDED,
    ATTENTION
  }

  private static final class Buffers {
    private final Arena arena = Arena.ofShared();
    private final long bytes;
    private final MemorySegment[] segments;

    Buffers(int count, long bytes) {
      this.bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      this.segments = new MemorySegment[count];
      boolean whole = false;
      try {
        for (int i = 0; i < count; i++) {
          segments[i] = NativeHeap.allocate(this.bytes, ALIGNMENT, arena);
        }
        whole = true;
      } finally {
        if (!whole) {
          arena.close();
        }
      }
    }

    long size() {
      return bytes * segments.length;
    }
  }

  private final AtomicLong total;
  private final Map<Use, Buffers> buffers = new EnumMap<>(Use.class);
  private final Map<Use, int[][]> integers = new EnumMap<>(Use.class);
  private final Map<Use, float[][]> arrays = new EnumMap<>(Use.class);

  /** With a count of the bytes that this and other workspaces hold together. */
  Workspace(AtomicLong total) {
    this.total = total;
  }

  /** {@code count} buffers of at least {@code bytes} each, of undefined contents. */
  MemorySegment[] get(Use use, int count, long bytes) {
    Buffers held = buffers.get(use);
    if (held == null || held.bytes < bytes || held.segments.length < count) {
      if (held != null) {
        buffers.remove(use);
        giveBack(held);
      }
      held = new Buffers(count, bytes);
      buffers.put(use, held);
      total.addAndGet(held.size());
    }
    return held.segments;
  }

  /** {@code count} arrays of at least {@code length} floats each, of undefined contents. */
  float[][] floats(Use use, int count, int length) {
    float[][] held = arrays.get(use);
    if (held == null || held.length < count || held[0].length < length) {
      total.addAndGet(Float.BYTES * ((long) count * length - size(held)));
      held = new float[count][length];
      arrays.put(use, held);
    }
    return held;
  }

  /** {@code count} arrays of at least {@code length} integers each, of undefined contents. */
  int[][] integers(Use use, int count, int length) {
    int[][] held = integers.get(use);
    if (held == null || held.length < count || held[0].length < length) {
      total.addAndGet(Integer.BYTES * ((long) count * length - size(held)));
      held = new int[count][length];
      integers.put(use, held);
    }
    return held;
  }

  private static long size(float[][] held) {
    return held == null ? 0 : (long) held.length * held[0].length;
  }

  private static long size(int[][] held) {
    return held == null ? 0 : (long) held.length * held[0].length;
  }

  private void giveBack(Buffers held) {
    held.arena.close();
    total.addAndGet(-held.size());
  }

  @Override
  public void close() {
    buffers.values().forEach(this::giveBack);
    buffers.clear();
    arrays.values().forEach(held -> total.addAndGet(-Float.BYTES * size(held)));
    arrays.clear();
    integers.values().forEach(held -> total.addAndGet(-Integer.BYTES * size(held)));
    integers.clear();
  }
}
