package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.LaneGroup;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.OutputCurvature;
import dev.gptq.quantize.Refinement;
import java.util.List;

/**
 * What a quantization needs of a backend's memory, with 4 bytes a number.
 *
 * @param weights one block's weights, and the copies of the largest group of modules that are alive
 *     while it is quantized, or of {@value LaneGroup#MOST} experts at most; of all blocks,
 *     embedding and head where gradients are taken first
 * @param activations the residual stream of all calibration tokens and the widest activation that
 *     is kept beside it
 * @param hessians the Hessians of one group or wave of experts (of a whole block without
 *     true-sequential), and twice the largest for its factor; all three doubled where
 *     full-precision activations go along; and how the outputs of all groups are coupled, if that
 *     is asked for
 */
public record MemoryEstimate(long weights, long activations, long hessians) {
  private static final long NUMBER = Float.BYTES;

  /** The formula for the largest block; tokens are taken to be spread evenly among experts. */
  public static MemoryEstimate of(
      DecoderSpec spec, QuantizationSettings settings, List<int[]> windows) {
    long tokens = windows.stream().mapToLong(w -> w.length).sum();
    long weights = 0;
    long widest = 0;
    long hessians = 0;
    for (BlockSpec block : spec.blocks()) {
      List<LinearSpec> linears = block.linears().toList();
      Together together = Together.of(block.steps(), settings, tokens);
      weights =
          Math.max(
              weights, linears.stream().mapToLong(MemoryEstimate::size).sum() + together.copies());
      hessians = Math.max(hessians, together.hessians());
      widest = Math.max(widest, linears.stream().mapToLong(LinearSpec::inputs).max().orElse(0));
    }
    int streams = settings.needsFullPrecision() ? 2 : 1;
    boolean gradients = settings.needsGradients() && tokens > 0;
    return new MemoryEstimate(
        NUMBER * Math.max(weights * streams, gradients ? whole(spec) : 0),
        NUMBER * tokens * (spec.hidden() + widest) * streams,
        tokens == 0
            ? 0
            : NUMBER * (hessians * streams + (gradients ? coupled(spec, settings) : 0)));
  }

  /** Numbers in the weights of a whole model. */
  private static long whole(DecoderSpec spec) {
    long ends = 2L * spec.vocabulary() * spec.embedding().size();
    return ends
        + spec.blocks().stream().flatMap(BlockSpec::linears).mapToLong(MemoryEstimate::size).sum();
  }

  /** Numbers that say how the outputs of each group are coupled. */
  private static long coupled(DecoderSpec spec, QuantizationSettings settings) {
    return settings.curvature() == Curvature.KL
        ? spec.blocks().stream()
            .flatMap(BlockSpec::groups)
            .mapToInt(group -> group.modules().stream().mapToInt(LinearSpec::outputs).sum())
            .mapToLong(OutputCurvature::size)
            .sum()
        : 0;
  }

  /**
   * Numbers that the largest list of groups holds which are quantized together.
   *
   * @param copies of the groups' weights
   * @param hessians with the factors of those that are quantized at the same time
   */
  private record Together(long copies, long hessians) {
    static Together of(List<Step> steps, QuantizationSettings settings, long tokens) {
      List<Stretch> stretches = Stretch.of(steps);
      long copies = 0;
      long held = 0;
      long all = 0;
      long factors = 0;
      for (int first = 0, end; first < stretches.size(); first = end) {
        end = settings.trueSequential() ? wave(stretches, first, steps, tokens) : first + 1;
        long lanes = Math.min(LaneGroup.MOST, end - first);
        if (!settings.trueSequential() && stretches.get(first).isExpert()) {
          lanes = LaneGroup.MOST;
        }
        for (int index : stretches.get(first).groups(steps)) {
          Step.Linears group = (Step.Linears) steps.get(index);
          long inputs = group.modules().getFirst().inputs();
          long square = inputs * inputs;
          copies =
              Math.max(
                  copies,
                  lanes * MemoryEstimate.copies(size(group), settings.options().refinement()));
          held = Math.max(held, (end - first + 2 * lanes) * square);
          all += square;
          factors = Math.max(factors, 2 * lanes * square);
        }
      }
      return new Together(copies, settings.trueSequential() ? held : all + factors);
    }

    private static int wave(List<Stretch> stretches, int first, List<Step> steps, long tokens) {
      return ExpertWave.end(
          stretches,
          first,
          steps,
          gather ->
              steps.stream()
                  .filter(step -> step.defines().contains(gather.routes()))
                  .map(Step.Route.class::cast)
                  .mapToLong(route -> tokens * route.routing().chosen() / route.router().outputs())
                  .sum(),
          tokens);
    }
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
