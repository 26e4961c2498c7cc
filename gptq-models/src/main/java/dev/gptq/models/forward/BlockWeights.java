package dev.gptq.models.forward;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.Map;

/**
 * The weights of a block by the names of their modules.
 *
 * @param linears linear layers, routers included
 * @param norms normalisations
 * @param tables tables of learned positions
 */
record BlockWeights(
    Map<String, Linear> linears, Map<String, Norm> norms, Map<String, Tensor> tables) {

  static BlockWeights load(BlockSpec spec, WeightSource source, TensorScope scope) {
    BlockWeights weights = new BlockWeights(new HashMap<>(), new HashMap<>(), new HashMap<>());
    for (Step step : spec.steps()) {
      switch (step) {
        case Step.Norm norm ->
            weights.norms.put(
                norm.kind().name(),
                Norm.load(source, spec.prefix() + norm.kind().name(), norm.kind(), scope));
        case Step.Linears group -> {
          for (LinearSpec module : group.modules()) {
            weights.linears.put(module.module(), source.linear(spec.nameOf(module), module, scope));
          }
        }
        case Step.Route route ->
            weights.linears.put(
                route.router().module(),
                source.linear(spec.nameOf(route.router()), route.router(), scope));
        case Step.Positions p ->
            weights.tables.put(
                p.table(), source.matrix(spec.prefix() + p.table(), p.rows(), p.columns(), scope));
        case Step.Split _,
            Step.Scale _,
            Step.Rope _,
            Step.Attention _,
            Step.Activate _,
            Step.Gate _,
            Step.Add _,
            Step.Gather _,
            Step.Scatter _ -> {}
      }
    }
    return weights;
  }
}
