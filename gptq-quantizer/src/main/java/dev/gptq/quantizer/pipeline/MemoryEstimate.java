package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.tensor.DType;

/**
 * What a quantization needs of a backend's memory, of the first device's where there are several:
 * the most bytes of tensors that a {@link Rehearsal} of it counted. Where numbers decide that a
 * rehearsal does not have, the larger is taken: tokens go to experts as unevenly as a wave of them
 * can hold ({@link ExpertWave}), each expert has tokens enough to be worth solving, and where
 * experts that few tokens choose would make longer waves, their Hessians are added.
 *
 * @param tensors all of it, in bytes
 * @param states the residual stream of all calibration tokens of the device, which is there from
 *     the first block to the last, unless it lies elsewhere
 * @param weights the largest block's weights; where a target needs full precision, twice
 * @param ahead weights as they are stored, which come while a block is worked on, and codes that go
 *     meanwhile
 */
public record MemoryEstimate(long tensors, long states, long weights, long ahead) {

  /**
   * From a rehearsal.
   *
   * @param peak the most bytes that it counted
   * @param number the type of activations and weights
   * @param where the hidden states lie
   * @param tokens calibration tokens of the device
   */
  static MemoryEstimate of(
      long peak,
      DType number,
      DecoderSpec spec,
      QuantizationSettings settings,
      HiddenStates where,
      long tokens) {
    long bytes = (long) number.bytes() * (settings.needsFullPrecision() ? 2 : 1);
    return new MemoryEstimate(
        peak,
        where == HiddenStates.DEVICE ? bytes * tokens * spec.hidden() : 0,
        bytes * spec.blocks().stream().mapToLong(MemoryEstimate::elements).max().orElse(0),
        0);
  }

  /** The same and bytes of weights that come {@linkplain Weights#AHEAD ahead}. */
  MemoryEstimate withWeightsAhead(long bytes) {
    return new MemoryEstimate(tensors + bytes, states, weights, bytes);
  }

  private static long elements(BlockSpec block) {
    return block.linears().mapToLong(MemoryEstimate::elements).sum();
  }

  private static long elements(LinearSpec linear) {
    return (long) linear.outputs() * linear.inputs();
  }

  /**
   * The estimate for people.
   *
   * @param room bytes that the backend has for tensors
   */
  public ImmutableList<String> lines(long room) {
    ImmutableList.Builder<String> lines = ImmutableList.builder();
    lines.add(
        "memory on the backend: about " + mebibytes(tensors) + " of " + mebibytes(room),
        states == 0
            ? "  hidden states of calibration tokens       elsewhere"
            : "  hidden states of its calibration tokens   " + mebibytes(states),
        "  one block's weights                       " + mebibytes(weights));
    if (ahead > 0) {
      lines.add("  those that come while it is worked on     " + mebibytes(ahead));
    }
    return lines
        .add(
            "  what is computed with them, at most       "
                + mebibytes(tensors - states - weights - ahead))
        .build();
  }

  private static String mebibytes(long bytes) {
    return (bytes >> 20) + " MiB";
  }
}
