package dev.gptq.models.text;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Windows of equal length out of a stream of token ids. */
public final class TokenWindows {
  private TokenWindows() {}

  /**
   * Evenly spread: window i starts at {@code i·⌊(tokens − length)/samples⌋}.
   *
   * @param place where a window really starts that would start at some token
   */
  public static ImmutableList<int[]> even(
      int[] stream, int samples, int length, IntUnaryOperator place) {
    requireOne(stream, length);
    Preconditions.checkArgument(samples > 0, "%s samples", samples);
    int step = (stream.length - length) / samples;
    return windows(stream, samples, length, i -> place.applyAsInt(i * step));
  }

  /**
   * At random starts, the same for the same seed; windows may overlap.
   *
   * @param place where a window really starts that would start at some token
   */
  public static ImmutableList<int[]> random(
      int[] stream, int samples, int length, long seed, IntUnaryOperator place) {
    requireOne(stream, length);
    SplittableRandom random = new SplittableRandom(seed);
    return windows(
        stream, samples, length, _ -> place.applyAsInt(random.nextInt(stream.length - length + 1)));
  }

  /** One after the other without overlap, at most {@code limit}; the tail is dropped. */
  public static ImmutableList<int[]> consecutive(int[] stream, int length, OptionalInt limit) {
    requireOne(stream, length);
    int count = Math.min(stream.length / length, limit.orElse(Integer.MAX_VALUE));
    return windows(stream, count, length, i -> i * length);
  }

  private static ImmutableList<int[]> windows(
      int[] stream, int count, int length, IntUnaryOperator start) {
    return IntStream.range(0, count)
        .map(start)
        .mapToObj(from -> Arrays.copyOfRange(stream, from, from + length))
        .collect(ImmutableList.toImmutableList());
  }

  private static void requireOne(int[] stream, int length) {
    Preconditions.checkArgument(length > 0, "windows of %s tokens", length);
    if (stream.length < length) {
      throw new BadInputException(
          "the text has %d tokens, too few for one window of %d; give a longer text or a shorter"
                  .formatted(stream.length, length)
              + " sequence length");
    }
  }
}
