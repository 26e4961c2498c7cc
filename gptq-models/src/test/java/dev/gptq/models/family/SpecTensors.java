package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSortedMap;
import com.google.common.primitives.Longs;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Names and shapes of all tensors that a description reads from a full-precision checkpoint. */
public final class SpecTensors {
  private final SortedMap<String, ImmutableList<Long>> shapes = new TreeMap<>();

  private SpecTensors() {}

  /** All of them. */
  public static ImmutableSortedMap<String, ImmutableList<Long>> of(DecoderSpec spec) {
    SpecTensors tensors = new SpecTensors();
    tensors.add(spec.embedding().table(), spec.vocabulary(), spec.embedding().size());
    tensors.add(spec.head().matrix(), spec.vocabulary(), spec.embedding().size());
    if (spec.head().bias()) {
      tensors.add(spec.head().biasName(), spec.vocabulary());
    }
    Stream.of(Stream.of(spec.opening()), spec.blocks().stream(), Stream.of(spec.closing()))
        .flatMap(blocks -> blocks)
        .forEach(block -> block.steps().forEach(step -> tensors.add(block, step)));
    return ImmutableSortedMap.copyOf(tensors.shapes);
  }

  private void add(BlockSpec block, Step step) {
    switch (step) {
      case Step.Norm norm -> {
        NormSpec spec = norm.kind();
        String name = block.prefix() + spec.name();
        if (spec.kind().hasGain() && spec.gains() > 1) {
          add(name + ".weight", spec.gains(), spec.size());
        } else if (spec.kind().hasGain()) {
          add(name + ".weight", spec.size());
        }
        if (spec.kind().hasBias()) {
          add(name + ".bias", spec.size());
        }
      }
      case Step.Linears group -> group.modules().forEach(module -> add(block, module));
      case Step.Project project -> add(block, project.module());
      case Step.Convolve c ->
          add(block.prefix() + c.module() + ".weight", c.features(), 1, c.width());
      case Step.DeltaRule rule -> {
        add(block.prefix() + rule.spec().shift(), rule.spec().heads());
        add(block.prefix() + rule.spec().rate(), rule.spec().heads());
      }
      case Step.Route route -> {
        add(block, route.router());
        route
            .routing()
            .correction()
            .ifPresent(name -> add(block.prefix() + name, route.router().outputs()));
      }
      case Step.Positions p -> add(block.prefix() + p.table(), p.rows(), p.columns());
      default -> {}
    }
  }

  private void add(BlockSpec block, LinearSpec module) {
    String name = block.nameOf(module);
    switch (module.storage()) {
      case OUT_IN -> add(name + ".weight", module.outputs(), module.inputs());
      case IN_OUT -> add(name + ".weight", module.inputs(), module.outputs());
    }
    if (module.bias()) {
      add(name + ".bias", module.outputs());
    }
  }

  private void add(String name, long... shape) {
    shapes.put(name, ImmutableList.copyOf(Longs.asList(shape)));
  }
}
