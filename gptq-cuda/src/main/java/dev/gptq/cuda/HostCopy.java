package dev.gptq.cuda;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/**
 * Copies within host memory. One thread copies slower than the bus to the GPU, above all from a
 * mapped file whose pages it is the first to touch, so that large copies are shared by all: those
 * of the 3 MiB that an expert's weights may have, too.
 */
final class HostCopy {
  private static final long SLICE = 512L << 10;

  /** Below this many slices it is not worth waking others. */
  private static final int FEW = 4;

  /** Stands for the threads that help. */
  private static final Thread HELPER = Thread.ofPlatform().unstarted(() -> {});

  private HostCopy() {}

  /** Copies all of {@code from} to the beginning of {@code to}. */
  static void copy(MemorySegment from, MemorySegment to) {
    int slices = Math.toIntExact(Math.ceilDiv(from.byteSize(), SLICE));
    if (slices < FEW || !from.isAccessibleBy(HELPER) || !to.isAccessibleBy(HELPER)) {
      MemorySegment.copy(from, 0, to, 0, from.byteSize());
      return;
    }
    IntStream.range(0, slices)
        .parallel()
        .forEach(i -> {
          long at = i * SLICE;
          MemorySegment.copy(from, at, to, at, Math.min(SLICE, from.byteSize() - at));
        });
  }
}
