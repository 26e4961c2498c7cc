package dev.gptq.models.forward;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DeltaSpec;
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
 * @param tables tables of learned positions, taps of convolutions, numbers of delta rules
 * @param corrections what is added to scores of experts
 */
record BlockWeights(
    Map<String, Linear> linears,
    Map<String, Norm> norms,
    Map<String, Tensor> tables,
    Map<String, float[]> corrections) {

  static BlockWeights load(BlockSpec spec, WeightSource source, TensorScope scope) {
    BlockWeights weights =
        new BlockWeights(new HashMap<>(), new HashMap<>(), new HashMap<>(), new HashMap<>());
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
        case Step.Project project ->
            weights.linears.put(
                project.module().module(),
                source.linear(spec.nameOf(project.module()), project.module(), scope));
        case Step.Convolve c ->
            weights.tables.put(
                c.module(),
                source.taps(
                    spec.prefix() + c.module() + ".weight", c.features(), c.width(), scope));
        case Step.DeltaRule rule -> {
          DeltaSpec delta = rule.spec();
          weights.tables.put(
              delta.shift(),
              scope.upload(source.floats(spec.prefix() + delta.shift(), delta.heads())));
          float[] rates = source.floats(spec.prefix() + delta.rate(), delta.heads());
          for (int head = 0; head < rates.length; head++) {
            rates[head] = (float) Math.exp(rates[head]);
          }
          weights.tables.put(delta.rate(), scope.upload(rates));
        }
        case Step.Route route -> {
          weights.linears.put(
              route.router().module(),
              source.linear(spec.nameOf(route.router()), route.router(), scope));
          route
              .routing()
              .correction()
              .ifPresent(name ->
                  weights.corrections.put(
                      name, source.floats(spec.prefix() + name, route.router().outputs())));
        }
        case Step.Positions p ->
            weights.tables.put(
                p.table(), source.matrix(spec.prefix() + p.table(), p.rows(), p.columns(), scope));
        case Step.Split _,
            Step.Join _,
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
