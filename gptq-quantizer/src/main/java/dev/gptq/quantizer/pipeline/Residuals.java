package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;

/** Which modules {@link Target.Kind#RESIDUAL} cannot do all it does for others. */
public final class Residuals {
  private Residuals() {}

  /**
   * Modules of the first block whose output reaches the residual stream changed, so that what the
   * stream lacks cannot be asked of them; the target makes up for the errors of their input only.
   */
  public static ImmutableList<String> unreached(DecoderSpec spec) {
    BlockSpec block = spec.blocks().getFirst();
    ImmutableList.Builder<String> names = ImmutableList.builder();
    for (int i = 0; i < block.steps().size(); i++) {
      if (block.steps().get(i) instanceof Step.Linears group
          && InputStatistics.reachesResidualChanged(block.steps(), i)) {
        group.modules().stream().map(LinearSpec::module).forEach(names::add);
      }
    }
    return names.build();
  }
}
