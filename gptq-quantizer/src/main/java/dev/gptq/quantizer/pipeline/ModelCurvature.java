package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.OutputCurvature;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * What one backward pass over the calibration text says about the outputs of all groups of linear
 * layers of the full-precision model. The loss is the cross-entropy with labels that are drawn from
 * the model's own distribution, so that the mean of {@code g·gᵀ} is its Fisher matrix: the
 * curvature of the KL divergence.
 */
final class ModelCurvature {
  /** Labels drawn for each position, where positions are few. */
  private static final int MOST_DRAWS = 4;

  /** Labels that are enough. */
  private static final int ENOUGH = 1 << 16;

  private static final long SEED = 20_261_129L;

  private final ImmutableMap<Place, GroupCurvature> groups;

  private ModelCurvature(ImmutableMap<Place, GroupCurvature> groups) {
    this.groups = groups;
  }

  /** A group of a block. */
  private record Place(int block, Step.Linears group) {}

  /** The sums of a group. */
  private record Sums(Tensor squares, Optional<OutputCurvature> outputs) {}

  /**
   * Loads the model, takes the batches through it and back, and forgets it again.
   *
   * @param scope owns the result
   */
  static ModelCurvature of(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      List<List<int[]>> batches,
      Curvature curvature,
      TensorScope scope) {
    int tokens = batches.stream().flatMap(List::stream).mapToInt(window -> window.length).sum();
    int draws = draws(tokens);
    Map<Place, Sums> sums = new LinkedHashMap<>();
    for (int b = 0; b < spec.blocks().size(); b++) {
      BlockSpec block = spec.blocks().get(b);
      for (Step.Linears group : block.groups().toList()) {
        int outputs = group.modules().stream().mapToInt(LinearSpec::outputs).sum();
        sums.put(
            new Place(b, group),
            new Sums(
                scope.zeros(DType.F32, 1, tokens, Layout.ROW_MAJOR),
                curvature == Curvature.KL
                    ? Optional.of(new OutputCurvature(backend, scope, outputs))
                    : Optional.empty()));
      }
    }
    try (Decoder decoder = new Decoder(backend, spec, source)) {
      BackwardPass backward = decoder.backward();
      int first = 0;
      for (List<int[]> batch : batches) {
        int from = first;
        int to = from + batch.stream().mapToInt(window -> window.length).sum();
        backward.run(
            batch,
            draws,
            (logits, draw, at, local) -> drawn(backend, logits, draw, from + at, local),
            (block, group, gradient) -> {
              Sums own = sums.get(new Place(block, group));
              backend.gradients().addRowSquares(gradient, own.squares().columns(from, to));
              own.outputs().ifPresent(outputs -> outputs.add(gradient));
            });
        first = to;
      }
    }
    ImmutableMap.Builder<Place, GroupCurvature> groups = ImmutableMap.builder();
    sums.forEach((place, own) -> {
      own.outputs().ifPresent(OutputCurvature::finish);
      float[] weights = OutputCurvature.tokenWeights(HostCopies.floats(own.squares()));
      groups.put(place, new GroupCurvature(weights, own.outputs()));
    });
    return new ModelCurvature(groups.buildOrThrow());
  }

  /** How often labels are drawn for so many positions. */
  static int draws(int tokens) {
    return Math.clamp(ENOUGH / tokens, 1, MOST_DRAWS);
  }

  /** Labels for some positions; the same for the same positions, however they are batched. */
  private static Tensor drawn(
      Backend backend, Tensor logits, int draw, int first, TensorScope scope) {
    float[] uniform = new float[logits.rows()];
    for (int t = 0; t < uniform.length; t++) {
      long position = (long) (first + t) * MOST_DRAWS + draw;
      uniform[t] = new SplittableRandom(SEED + position).nextInt(1 << 24) * 0x1p-24f;
    }
    Tensor targets = scope.rowMajor(DType.I32, 1, uniform.length);
    try (TensorScope local = backend.newScope()) {
      backend.gradients().sample(logits, local.upload(uniform), targets);
    }
    return targets;
  }

  /** What was found about a group. */
  GroupCurvature of(int block, Step.Linears group) {
    return groups.get(new Place(block, group));
  }
}
