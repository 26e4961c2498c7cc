package dev.gptq.formats;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.stream.LongStream;

/**
 * The CRC-32C of many bytes, of which all processors take shares. A checksum is the remainder of a
 * polynomial over GF(2), so that the one of bytes a and b, one behind the other, is
 *
 * <pre>{@code crc(a b) = crc(a) x^(8 |b|) mod P xor crc(b)}</pre>
 */
public final class Crc32c {
  /** Bytes of a share: a pass over them takes milliseconds. */
  private static final long SHARE = 8L << 20;

  /** P without its highest term; the bit of x⁰ is the highest. */
  private static final int POLYNOMIAL = 0x82F63B78;

  private static final int ONE = 1 << 31;
  private static final int X8 = ONE >>> 8;

  private Crc32c() {}

  /** Something that is done with bytes {@code from} to {@code to}, which tells their CRC-32C. */
  @FunctionalInterface
  public interface Share {
    long pass(long from, long to) throws IOException;
  }

  /** Passes bytes 0 to {@code bytes}, and returns the CRC-32C of all of them. */
  public static long of(long bytes, Share share) throws IOException {
    if (bytes <= SHARE) {
      return share.pass(0, bytes);
    }
    long[] sums;
    try {
      sums =
          LongStream.range(0, Math.ceilDiv(bytes, SHARE))
              .parallel()
              .map(i -> pass(share, i * SHARE, Math.min(bytes, (i + 1) * SHARE)))
              .toArray();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    int sum = 0;
    for (int i = 0; i < sums.length; i++) {
      long length = Math.min(SHARE, bytes - i * SHARE);
      sum = multiply(power(length), sum) ^ (int) sums[i];
    }
    return Integer.toUnsignedLong(sum);
  }

  private static long pass(Share share, long from, long to) {
    try {
      return share.pass(from, to);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** {@code x^(8 bytes) mod P}. */
  private static int power(long bytes) {
    int power = ONE;
    int square = X8;
    for (long left = bytes; left > 0; left >>= 1) {
      if ((left & 1) == 1) {
        power = multiply(power, square);
      }
      square = multiply(square, square);
    }
    return power;
  }

  /** a b mod P. */
  private static int multiply(int a, int b) {
    int product = 0;
    int shifted = b;
    for (int bit = ONE; bit != 0; bit >>>= 1) {
      if ((a & bit) != 0) {
        product ^= shifted;
      }
      shifted = (shifted >>> 1) ^ (-(shifted & 1) & POLYNOMIAL);
    }
    return product;
  }
}
