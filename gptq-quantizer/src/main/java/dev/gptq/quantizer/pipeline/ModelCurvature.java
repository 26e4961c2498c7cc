package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.DeviceGroup;
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
import java.util.stream.Stream;

/**
 * What one backward pass over the calibration text says about the outputs of all groups of linear
 * layers of the full-precision model, but for those of experts. The loss is the cross-entropy with
 * labels that are drawn from the model's own distribution, so that the mean of {@code g·gᵀ} is its
 * Fisher matrix: the curvature of the KL divergence.
 */
public final class ModelCurvature {
  /** Labels that are enough. */
  private static final int ENOUGH = 1 << 16;

  private final ImmutableMap<Place, GroupCurvature> groups;

  private ModelCurvature(Map<Place, Sums> sums) {
    ImmutableMap.Builder<Place, GroupCurvature> known = ImmutableMap.builder();
    sums.forEach((place, own) -> {
      float[] weights = OutputCurvature.tokenWeights(HostCopies.floats(own.squares()));
      known.put(place, new GroupCurvature(weights, own.outputs()));
    });
    this.groups = known.buildOrThrow();
  }

  /** A group of a block. */
  private record Place(int block, Step.Linears group) {}

  /** The sums of a group. */
  private record Sums(Tensor squares, Optional<OutputCurvature> outputs) {
    /** All tensors of it. */
    Stream<Tensor> tensors() {
      return Stream.concat(
          Stream.of(squares), outputs.stream().flatMap(known -> known.sums().stream()));
    }

    /** Once its tensors were filled in. */
    Sums taken(Backend backend, long gradients) {
      return new Sums(
          squares, outputs.map(filled -> OutputCurvature.of(backend, filled.sums(), gradients)));
    }
  }

  /**
   * Takes the sums that an interrupted run has kept; else loads the model, takes the batches
   * through it and back, forgets it again, and offers the sums to be kept.
   *
   * @param devices of which the first does it
   * @param borders where the backward pass has the residual stream before each block
   * @param scope owns the result
   */
  static ModelCurvature of(
      DeviceGroup devices,
      DecoderSpec spec,
      WeightSource source,
      List<List<int[]>> batches,
      Curvature curvature,
      StateStore states,
      BorderPlace borders,
      TensorScope scope) {
    Backend backend = devices.first();
    int tokens = batches.stream().flatMap(List::stream).mapToInt(window -> window.length).sum();
    int draws = draws(tokens);
    TensorScope trial = scope.child();
    Map<Place, Sums> sums = sums(backend, spec, curvature, tokens, trial);
    if (states.loadCurvature(tensors(devices, sums))) {
      sums.replaceAll((place, own) -> own.taken(backend, (long) tokens * draws));
      return new ModelCurvature(sums);
    }
    trial.close();
    sums = sums(backend, spec, curvature, tokens, scope);
    try (Decoder decoder = new Decoder(backend, spec, source);
        BorderRoom room = new BorderRoom(decoder, borders)) {
      add(backend, room.backward(), batches, draws, sums);
    }
    states.putCurvature(tensors(devices, sums));
    return new ModelCurvature(sums);
  }

  /** Empty sums of all groups. */
  private static Map<Place, Sums> sums(
      Backend backend, DecoderSpec spec, Curvature curvature, int tokens, TensorScope scope) {
    Map<Place, Sums> sums = new LinkedHashMap<>();
    for (int b = 0; b < spec.blocks().size(); b++) {
      BlockSpec block = spec.blocks().get(b);
      for (Step.Linears group : groups(block).toList()) {
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
    return sums;
  }

  private static List<PlacedTensor> tensors(DeviceGroup devices, Map<Place, Sums> sums) {
    return sums.values().stream()
        .flatMap(Sums::tensors)
        .map(tensor -> new PlacedTensor(devices, 0, tensor))
        .toList();
  }

  /** Takes the batches through the model and back. */
  private static void add(
      Backend backend,
      BackwardPass backward,
      List<List<int[]>> batches,
      int draws,
      Map<Place, Sums> sums) {
    int first = 0;
    for (List<int[]> batch : batches) {
      int from = first;
      int to = from + batch.stream().mapToInt(window -> window.length).sum();
      backward.run(
          batch,
          draws,
          (logits, draw, at, local) -> DrawnLabels.of(backend, logits, draw, from + at, local),
          (block, group, gradient) -> {
            Sums own = sums.get(new Place(block, group));
            if (own == null) {
              return;
            }
            backend.gradients().addRowSquares(gradient, own.squares().columns(from, to));
            own.outputs().ifPresent(outputs -> outputs.add(gradient));
          });
      first = to;
    }
    sums.values().forEach(own -> own.outputs().ifPresent(OutputCurvature::finish));
  }

  /** How often labels are drawn for so many positions. */
  static int draws(int tokens) {
    return Math.clamp(ENOUGH / tokens, 1, DrawnLabels.MOST_DRAWS);
  }

  /** What was found about a group; nothing of experts. */
  Optional<GroupCurvature> of(int block, Step.Linears group) {
    return Optional.ofNullable(groups.get(new Place(block, group)));
  }

  /**
   * The groups of a block that something is found about: those that all tokens go through. The
   * full-precision model sends other tokens to an expert than the quantized one, so that what it
   * says of an expert's tokens does not belong to those that it is quantized with.
   */
  public static Stream<Step.Linears> groups(BlockSpec block) {
    return Stretch.of(block.steps()).stream()
        .filter(stretch -> !stretch.isExpert())
        .flatMap(stretch -> stretch.groups(block.steps()).stream())
        .map(step -> (Step.Linears) block.steps().get(step));
  }
}
