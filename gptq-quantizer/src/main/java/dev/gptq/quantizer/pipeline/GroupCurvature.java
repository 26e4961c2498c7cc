package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.OutputCurvature;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** What the loss of the whole model says about a group of linear layers that share an input. */
final class GroupCurvature {
  private final float[] tokens;
  private final Optional<OutputCurvature> outputs;

  /**
   * What was found.
   *
   * @param tokens how much each calibration token counts; 1 on average
   * @param outputs how the outputs of the layers are coupled, if that is asked for
   */
  GroupCurvature(float[] tokens, Optional<OutputCurvature> outputs) {
    this.tokens = tokens.clone();
    this.outputs = outputs;
  }

  /** The weights of a run of tokens, F32, 1 × tokens, or their square roots. */
  Tensor weights(int from, int to, boolean roots, TensorScope scope) {
    float[] some = Arrays.copyOfRange(tokens, from, to);
    for (int t = 0; roots && t < some.length; t++) {
      some[t] = (float) Math.sqrt(some[t]);
    }
    return scope.upload(some);
  }

  /** Factors of the coupling of some modules of a group. */
  ImmutableList<HessianFactor> factors(
      Backend backend, Step.Linears group, List<LinearSpec> modules, TensorScope scope) {
    if (outputs.isEmpty()) {
      return ImmutableList.of();
    }
    List<Integer> rows = new ArrayList<>();
    int from = 0;
    for (LinearSpec module : group.modules()) {
      for (int r = 0; r < module.outputs() && modules.contains(module); r++) {
        rows.add(from + r);
      }
      from += module.outputs();
    }
    return outputs.get().factors(backend, rows, scope);
  }
}
