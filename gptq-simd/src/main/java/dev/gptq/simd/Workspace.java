package dev.gptq.simd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;

/**
 * Off-heap scratch that operations reuse: one buffer for each use and worker, grown on demand. The
 * caller's thread asks before it hands out tasks, so no task ever allocates.
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
    BEAM,
    GATHERED,
    ATTENTION
  }

  private static final class Buffers {
    private final Arena arena = Arena.ofShared();
    private final long bytes;
    private final MemorySegment[] segments;

    Buffers(int count, long bytes) {
      this.bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      this.segments = new MemorySegment[count];
      for (int i = 0; i < count; i++) {
        segments[i] = arena.allocate(this.bytes, ALIGNMENT);
      }
    }
  }

  private final Map<Use, Buffers> buffers = new EnumMap<>(Use.class);

  /** {@code count} buffers of at least {@code bytes} each, of undefined contents. */
  MemorySegment[] get(Use use, int count, long bytes) {
    Buffers held = buffers.get(use);
    if (held == null || held.bytes < bytes || held.segments.length < count) {
      if (held != null) {
        held.arena.close();
      }
      held = new Buffers(count, bytes);
      buffers.put(use, held);
    }
    return held.segments;
  }

  /** Bytes held. */
  long bytes() {
    return buffers.values().stream().mapToLong(b -> b.bytes * b.segments.length).sum();
  }

  @Override
  public void close() {
    buffers.values().forEach(b -> b.arena.close());
    buffers.clear();
  }
}
