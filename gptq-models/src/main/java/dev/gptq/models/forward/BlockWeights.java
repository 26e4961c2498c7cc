package dev.gptq.models.forward;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DeltaSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Routing;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The weights of a block by the names of their modules.
 *
 * @param linears linear layers, routers included, but for those that are joined
 * @param joined packed layers that share an input, by identity of their steps
 * @param norms normalisations
 * @param tables tables of learned positions, taps and biases of convolutions, numbers of states,
 *     factors of features, sinks
 * @param numbers corrections and gains of experts, numbers of activation functions
 */
record BlockWeights(
    Map<String, Linear> linears,
    Map<Step.Linears, JoinedLinears> joined,
    Map<String, Norm> norms,
    Map<String, Tensor> tables,
    Map<String, float[]> numbers) {

  static BlockWeights load(BlockSpec spec, WeightSource source, TensorScope scope) {
    BlockWeights weights =
        new BlockWeights(
            new HashMap<>(),
            new IdentityHashMap<>(),
            new HashMap<>(),
            new HashMap<>(),
            new HashMap<>());
    for (Step step : spec.steps()) {
      switch (step) {
        case Step.Norm norm ->
            weights.norms.put(
                norm.kind().name(),
                Norm.load(source, spec.prefix() + norm.kind().name(), norm.kind(), scope));
        case Step.Linears group -> source.linears(spec, group, weights, scope);
        case Step.Project project ->
            weights.linears.put(
                project.module().module(),
                source.linear(spec.nameOf(project.module()), project.module(), scope));
        case Step.Convolve c -> {
          String name = spec.prefix() + c.module();
          weights.tables.put(
              c.module(), source.taps(name + ".weight", c.features(), c.width(), scope));
          if (c.bias()) {
            weights.tables.put(
                c.module() + ".bias", source.vector(name + ".bias", c.features(), scope));
          }
        }
        case Step.DeltaRule rule -> weights.add(rule.spec(), spec.prefix(), source, scope);
        case Step.StateSpace space -> weights.add(space.spec(), spec.prefix(), source, scope);
        case Step.Weigh weigh -> {
          float[] stored = source.floats(spec.prefix() + weigh.numbers(), weigh.size());
          float[] factors = new float[weigh.columns()];
          for (int c = 0; c < factors.length; c++) {
            factors[c] = stored[(int) ((long) c * stored.length / factors.length)];
          }
          weights.tables.put(weigh.numbers(), source.row(factors, scope));
        }
        case Step.Xielu xielu -> {
          for (String name : StepRunner.XIELU) {
            String number = xielu.module() + "." + name;
            weights.numbers.put(number, source.floats(spec.prefix() + number, 1));
          }
        }
        case Step.Attention attention ->
            attention
                .sinks()
                .ifPresent(name ->
                    weights.tables.put(
                        name,
                        scope.upload(
                            source.floats(spec.prefix() + name, attention.spec().heads()))));
        case Step.Route route -> {
          weights.linears.put(
              route.router().module(),
              source.linear(spec.nameOf(route.router()), route.router(), scope));
          Routing routing = route.routing();
          for (Optional<String> name : List.of(routing.correction(), routing.gains())) {
            name.ifPresent(n ->
                weights.numbers.put(n, source.floats(spec.prefix() + n, route.router().outputs())));
          }
        }
        case Step.Lookup l ->
            weights.tables.put(
                l.table(), source.matrix(spec.prefix() + l.table(), l.rows(), l.columns(), scope));
        case Step.Positions p ->
            weights.tables.put(
                p.table(), source.matrix(spec.prefix() + p.table(), p.rows(), p.columns(), scope));
        case Step.Split _,
            Step.Join _,
            Step.Scale _,
            Step.Rope _,
            Step.Clamp _,
            Step.Temper _,
            Step.Activate _,
            Step.Gate _,
            Step.Add _,
            Step.Gather _,
            Step.Scatter _ -> {}
      }
    }
    return weights;
  }

  /** The weights of a linear layer that is not packed. */
  Tensor dense(LinearSpec module) {
    if (linears.get(module.module()) instanceof Linear.Dense dense) {
      return dense.weight();
    }
    throw new IllegalStateException(module.module() + " is quantized already");
  }

  /** The numbers of a state that heads carry from token to token. */
  private void add(DeltaSpec delta, String prefix, WeightSource source, TensorScope scope) {
    tables.put(delta.shift(), scope.upload(source.floats(prefix + delta.shift(), delta.heads())));
    float[] rates = source.floats(prefix + delta.rate(), delta.heads());
    for (int head = 0; head < rates.length; head++) {
      rates[head] = (float) Math.exp(rates[head]);
    }
    tables.put(delta.rate(), scope.upload(rates));
  }
}
