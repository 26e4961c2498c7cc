package dev.gptq.models.family;

import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.RopePairs;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Rotary positions: channel pair c turns by the angle {@code position · frequency[c]}.
 *
 * @param frequencies one for each pair of rotated channels
 * @param factor multiplies sine and cosine; 1 for most models
 * @param pairs which channels turn together
 * @param beyond frequencies of longer sequences, if they have others
 */
public record RopeSpec(
    ImmutableDoubleArray frequencies, double factor, RopePairs pairs, Optional<Beyond> beyond) {

  /**
   * Frequencies of sequences of more than so many positions.
   *
   * @param positions that still have the ordinary ones
   * @param frequencies those of all positions of a longer sequence
   */
  public record Beyond(int positions, ImmutableDoubleArray frequencies) {}

  /** The same with other pairs. */
  public RopeSpec withPairs(RopePairs other) {
    return new RopeSpec(frequencies, factor, other, beyond);
  }

  /** The same the other way round. */
  public RopeSpec reversed() {
    return new RopeSpec(
        reversed(frequencies),
        factor,
        pairs,
        beyond.map(longer -> new Beyond(longer.positions(), reversed(longer.frequencies()))));
  }

  private static ImmutableDoubleArray reversed(ImmutableDoubleArray frequencies) {
    return ImmutableDoubleArray.copyOf(frequencies.stream().map(frequency -> -frequency));
  }

  /** What a sequence of that many positions in all is rotated by. */
  public RopeSpec of(int positions) {
    ImmutableDoubleArray chosen =
        beyond
            .filter(longer -> positions > longer.positions())
            .map(Beyond::frequencies)
            .orElse(frequencies);
    return new RopeSpec(chosen, factor, pairs, Optional.empty());
  }

  /** {@code factor·cos} of all angles, positions × frequencies, row by row. */
  public float[] cosines(int positions) {
    return table(positions, true);
  }

  /** {@code factor·sin} of all angles, positions × frequencies, row by row. */
  public float[] sines(int positions) {
    return table(positions, false);
  }

  private float[] table(int positions, boolean cosine) {
    int n = frequencies.length();
    float[] table = new float[Math.multiplyExact(positions, n)];
    IntStream.range(0, positions).parallel().forEach(p -> fill(table, p, cosine));
    return table;
  }

  private void fill(float[] table, int position, boolean cosine) {
    int n = frequencies.length();
    for (int c = 0; c < n; c++) {
      // Inference code computes the angle in float32; at long positions that is what models know.
      double angle = (float) frequencies.get(c) * (float) position;
      table[position * n + c] = (float) (factor * (cosine ? Math.cos(angle) : Math.sin(angle)));
    }
  }
}
