package dev.gptq.bench.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/**
 * Normally distributed numbers of two bytes, drawn from a table of 65536 of them: sixteen random
 * bits a number, which is as fast as memory.
 */
final class NormalBits {
  private static final int TABLE = 1 << 16;
  private static final ValueLayout.OfLong FOUR =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort ONE =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final short[] table = new short[TABLE];

  NormalBits(WeightType type, double mean, double deviation) {
    SplittableRandom random = new SplittableRandom(TABLE);
    for (int i = 0; i < TABLE; i += 2) {
      // Pairs on both sides of the mean, so that it is met.
      double distance = deviation * random.nextGaussian();
      table[i] = type.bits((float) (mean + distance));
      table[i + 1] = type.bits((float) (mean - distance));
    }
  }

  /** Fills {@code out} with numbers that its seed decides. */
  void fill(MemorySegment out, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    long bytes = out.byteSize();
    long at = 0;
    for (; at + Long.BYTES <= bytes; at += Long.BYTES) {
      long r = random.nextLong();
      long four =
          Short.toUnsignedLong(table[(int) r & 0xffff])
              | Short.toUnsignedLong(table[(int) (r >>> 16) & 0xffff]) << 16
              | Short.toUnsignedLong(table[(int) (r >>> 32) & 0xffff]) << 32
              | Short.toUnsignedLong(table[(int) (r >>> 48) & 0xffff]) << 48;
      out.set(FOUR, at, four);
    }
    for (; at < bytes; at += Short.BYTES) {
      out.set(ONE, at, table[random.nextInt(TABLE)]);
    }
  }
}
