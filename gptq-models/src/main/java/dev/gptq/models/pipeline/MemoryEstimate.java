package dev.gptq.models.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.Refinement;
import java.util.List;

/**
 * What a quantization needs of a backend's memory, with 4 bytes a number.
 *
 * @param weights one block's weights, and the copies of the largest group of modules that are alive
 *     while it is quantized
 * @param activations the residual stream of all calibration tokens and the widest activation that
 *     is kept beside it
 * @param hessians the Hessians of one group (of a whole block without true-sequential), and twice
 *     the largest for its factor; all three doubled where full-precision activations go along
 */
public record MemoryEstimate(long weights, long activations, long hessians) {
  private static final long NUMBER = Float.BYTES;

  /** The formula for the largest block. */
  public static MemoryEstimate of(
      DecoderSpec spec, QuantizationSettings settings, List<int[]> windows) {
    long tokens = windows.stream().mapToLong(w -> w.length).sum();
    long weights = 0;
    long widest = 0;
    long hessians = 0;
    for (BlockSpec block : spec.blocks()) {
      List<LinearSpec> linears = block.linears().toList();
      long sum = linears.stream().mapToLong(MemoryEstimate::size).sum();
      long largest =
          block.steps().stream()
              .filter(Step.Linears.class::isInstance)
              .mapToLong(step -> size((Step.Linears) step))
              .max()
              .orElse(0);
      weights = Math.max(weights, sum + copies(largest, settings.options().refinement()));
      List<Long> squares =
          block.steps().stream()
              .filter(Step.Linears.class::isInstance)
              .map(step -> ((Step.Linears) step).modules().getFirst().inputs())
              .map(inputs -> (long) inputs * inputs)
              .toList();
      long square = squares.stream().mapToLong(Long::longValue).max().orElse(0);
      long all = squares.stream().mapToLong(Long::longValue).sum();
      hessians = Math.max(hessians, (settings.trueSequential() ? square : all) + 2 * square);
      widest = Math.max(widest, linears.stream().mapToLong(LinearSpec::inputs).max().orElse(0));
    }
    int streams = settings.needsFullPrecision() ? 2 : 1;
    return new MemoryEstimate(
        NUMBER * weights * streams,
        NUMBER * tokens * (spec.hidden() + widest) * streams,
        tokens == 0 ? 0 : NUMBER * hessians * streams);
  }

  /** Numbers in the copies of matrices of that many elements. */
  private static long copies(long elements, Refinement refinement) {
    // Weights, their order of quantization, codes of two kinds; differences, gradients, products.
    long copies = 4L + (refinement.refits() > 0 || refinement.sweeps() > 0 ? 5 : 0);
    long paths =
        refinement.beam() > 1 ? 2 * Math.min(Gptq.BEAM_ELEMENTS, refinement.beam() * elements) : 0;
    return copies * elements + paths;
  }

  private static long size(Step.Linears group) {
    return group.modules().stream().mapToLong(MemoryEstimate::size).sum();
  }

  private static long size(LinearSpec linear) {
    return (long) linear.outputs() * linear.inputs();
  }

  /** All of it. */
  public long total() {
    return weights + activations + hessians;
  }

  /** The estimate for people. */
  public ImmutableList<String> lines() {
    return ImmutableList.of(
        "memory on the backend: about " + mebibytes(total()),
        "  one block's weights, one group's copies   " + mebibytes(weights),
        "  activations of all calibration tokens     " + mebibytes(activations),
        "  Hessians and one factor                   " + mebibytes(hessians));
  }

  private static String mebibytes(long bytes) {
    return (bytes >> 20) + " MiB";
  }
}
