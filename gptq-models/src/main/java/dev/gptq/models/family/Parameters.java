package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The tensors that a description reads from a checkpoint: of the embedding, the opening, every
 * block, the closing and the head.
 *
 * @param tensors by name: the shape in full precision, and the linear layer whose weight it is
 */
public record Parameters(Map<String, Parameter> tensors) {
  private static final String WEIGHT = ".weight";
  private static final String BIAS = ".bias";

  /**
   * One of them.
   *
   * @param shape sizes of its dimensions
   * @param linear the layer, if it is the weight of one, which may come packed
   */
  public record Parameter(ImmutableList<Long> shape, Optional<LinearSpec> linear) {}

  /** Those of a model. */
  public static Parameters of(DecoderSpec spec) {
    Parameters parameters = new Parameters(new LinkedHashMap<>());
    parameters.add(spec.embedding().table(), spec.vocabulary(), spec.embedding().size());
    parameters.add(spec.opening());
    spec.blocks().forEach(parameters::add);
    parameters.add(spec.closing());
    parameters.add(spec.head().matrix(), spec.vocabulary(), spec.embedding().size());
    spec.head().bias().ifPresent(bias -> parameters.add(bias, spec.vocabulary()));
    return parameters;
  }

  /** Those of one block. */
  public static Parameters of(BlockSpec block) {
    Parameters parameters = new Parameters(new LinkedHashMap<>());
    parameters.add(block);
    return parameters;
  }

  /** The module of the weight of a linear layer. */
  public static String module(String weight) {
    return weight.substring(0, weight.length() - WEIGHT.length());
  }

  private void add(BlockSpec block) {
    for (Step step : block.steps()) {
      switch (step) {
        case Step.Norm norm -> add(block.prefix() + norm.kind().name(), norm.kind());
        case Step.Linears group -> group.modules().forEach(module -> add(block, module));
        case Step.Project project -> add(block, project.module());
        case Step.Convolve c -> {
          add(block.prefix() + c.module() + WEIGHT, c.features(), 1, c.width());
          if (c.bias()) {
            add(block.prefix() + c.module() + BIAS, c.features());
          }
        }
        case Step.StateSpace space -> {
          add(block.prefix() + space.spec().shift(), space.spec().heads());
          add(block.prefix() + space.spec().rate(), space.spec().heads());
        }
        case Step.Weigh weigh -> add(block.prefix() + weigh.numbers(), weigh.size());
        case Step.Xielu xielu -> {
          for (String name : ImmutableList.of("alpha_p", "alpha_n", "beta")) {
            add(block.prefix() + xielu.module() + "." + name, 1);
          }
        }
        case Step.Attention attention ->
            attention
                .sinks()
                .ifPresent(name -> add(block.prefix() + name, attention.spec().heads()));
        case Step.DeltaRule rule -> {
          add(block.prefix() + rule.spec().shift(), rule.spec().heads());
          add(block.prefix() + rule.spec().rate(), rule.spec().heads());
        }
        case Step.Route route -> {
          add(block, route.router());
          Routing routing = route.routing();
          for (Optional<String> name : ImmutableList.of(routing.correction(), routing.gains())) {
            name.ifPresent(n -> add(block.prefix() + n, route.router().outputs()));
          }
        }
        case Step.Lookup l -> add(block.prefix() + l.table(), l.rows(), l.columns());
        case Step.Positions p -> add(block.prefix() + p.table(), p.rows(), p.columns());
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
  }

  private void add(String name, NormSpec norm) {
    if (norm.kind().hasGain() && norm.gains() > 1) {
      add(name + WEIGHT, norm.gains(), norm.size());
    } else if (norm.kind().hasGain()) {
      add(name + WEIGHT, norm.size());
    }
    if (norm.kind().hasBias()) {
      add(name + BIAS, norm.size());
    }
  }

  private void add(BlockSpec block, LinearSpec module) {
    String name = block.nameOf(module);
    long outputs = module.outputs();
    long inputs = module.inputs();
    ImmutableList<Long> shape =
        switch (module.storage()) {
          case OUT_IN -> ImmutableList.of(outputs, inputs);
          case IN_OUT -> ImmutableList.of(inputs, outputs);
        };
    tensors.put(name + WEIGHT, new Parameter(shape, Optional.of(module)));
    if (module.bias()) {
      add(name + BIAS, outputs);
    }
  }

  private void add(String name, long... shape) {
    ImmutableList.Builder<Long> sizes = ImmutableList.builder();
    for (long size : shape) {
      sizes.add(size);
    }
    tensors.put(name, new Parameter(sizes.build(), Optional.empty()));
  }
}
