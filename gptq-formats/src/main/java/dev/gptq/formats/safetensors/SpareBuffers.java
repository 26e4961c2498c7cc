package dev.gptq.formats.safetensors;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Buffers outside Java's heap, as many as are in use at the same time. One that was given back is
 * used again: a new one is cleared twice, by the system and by Java, before anything is in it. They
 * go with the garbage, as threads may be left behind that fill them for nobody.
 */
final class SpareBuffers {
  /** What disks align to, mostly. */
  private static final long PAGE = 4096;

  private final Arena arena = Arena.ofAuto();
  private final ConcurrentLinkedQueue<MemorySegment> spare = new ConcurrentLinkedQueue<>();

  /**
   * A buffer, of whose contents nothing is known.
   *
   * @param bytes its size, at least
   * @param alignment of its address, a power of two
   */
  MemorySegment take(long bytes, long alignment) {
    MemorySegment some = spare.poll();
    return some != null && some.byteSize() >= bytes && some.address() % alignment == 0
        ? some
        : arena.allocate(bytes, Math.max(PAGE, alignment));
  }

  /** Takes one back that nobody uses any more. */
  void giveBack(MemorySegment buffer) {
    spare.add(buffer);
  }
}
