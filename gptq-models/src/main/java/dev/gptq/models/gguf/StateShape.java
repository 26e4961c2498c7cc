package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.DeltaSpec;
import dev.gptq.models.family.Step;
import java.util.Optional;

/**
 * Mamba-2 or Gated DeltaNet as a file describes it, and how it has their small tensors.
 *
 * @param width tokens that the convolution sees
 * @param heads heads of values
 * @param keySize features of a key
 * @param valueSize features of a value
 * @param groups heads of keys
 * @param selective whether it is Mamba-2, whose numbers for each head are a column in a file, and
 *     whose gains a row for each group
 */
public record StateShape(
    int width, int heads, int keySize, int valueSize, int groups, boolean selective) {
  private static final String RATE = "ssm_a";
  private static final String NORM = "ssm_norm";

  /** That of a model, if it has one. */
  public static Optional<StateShape> of(DecoderSpec spec) {
    return spec.blocks().stream().flatMap(block -> of(block).stream()).findFirst();
  }

  private static Optional<StateShape> of(BlockSpec block) {
    for (Step step : block.steps()) {
      if (step instanceof Step.StateSpace space) {
        return Optional.of(of(block, space.k(), space.spec(), true));
      }
      if (step instanceof Step.DeltaRule rule) {
        return Optional.of(of(block, rule.k(), rule.spec(), false));
      }
    }
    return Optional.empty();
  }

  private static StateShape of(BlockSpec block, String keys, DeltaSpec spec, boolean selective) {
    int columns =
        block
            .steps(Step.Split.class)
            .flatMap(split -> split.parts().stream())
            .filter(part -> part.name().equals(keys))
            .findFirst()
            .orElseThrow()
            .columns();
    int width = block.steps(Step.Convolve.class).findFirst().orElseThrow().width();
    return new StateShape(
        width, spec.heads(), spec.keySize(), spec.valueSize(), columns / spec.keySize(), selective);
  }

  /** Features of all values. */
  public int inner() {
    return Math.multiplyExact(heads, valueSize);
  }

  /** The shape in a file of a vector of so many numbers, by its name below a block. */
  public ImmutableList<Long> inFile(String stem, long size) {
    return switch (stem) {
      case RATE, "ssm_d" -> selective ? ImmutableList.of(size, 1L) : ImmutableList.of(size);
      case NORM ->
          selective ? ImmutableList.of((long) groups, size / groups) : ImmutableList.of(size);
      default -> ImmutableList.of(size);
    };
  }

  /** Whether a tensor is a vector in a checkpoint though it may be a matrix in a file. */
  static boolean isVector(String stem) {
    return stem.equals(RATE) || stem.equals("ssm_d") || stem.equals(NORM);
  }

  /** Whether numbers are the logarithms of rates in a checkpoint, and the rates less in a file. */
  public static boolean isRate(String stem) {
    return stem.equals(RATE);
  }

  /** {@code −e^logarithm}. */
  public static float rate(float logarithm) {
    return (float) -Math.exp(logarithm);
  }

  /** {@code ln(−rate)}. */
  static float logarithm(float rate) {
    return (float) Math.log(-rate);
  }
}
