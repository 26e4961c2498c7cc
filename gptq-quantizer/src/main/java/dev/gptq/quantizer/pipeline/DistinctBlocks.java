package dev.gptq.quantizer.pipeline;

import com.google.common.collect.HashMultiset;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Multiset;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.GptqOptions;
import java.util.Collections;

/**
 * The blocks of a model that differ in what is done in them: each shape once, and all whose
 * activations later blocks read. A rehearsal of these takes as much memory as one of all.
 *
 * @param blocks those blocks, in order
 * @param times how many blocks of the model each stands for
 */
record DistinctBlocks(ImmutableList<BlockSpec> blocks, ImmutableList<Double> times) {

  /** What makes blocks alike: their steps, and how their modules are quantized. */
  private record Shape(ImmutableList<Step> steps, ImmutableMap<String, GptqOptions> quantized) {
    static Shape of(BlockSpec block, QuantizationSettings settings) {
      return new Shape(
          block.steps(),
          block
              .linears()
              .filter(linear -> settings.selection().test(block.nameOf(linear)))
              .collect(
                  ImmutableMap.toImmutableMap(
                      LinearSpec::module, linear -> settings.optionsOf(block.nameOf(linear)))));
    }
  }

  /** The distinct blocks of a model; all of them where gradients pass through the whole. */
  static DistinctBlocks of(DecoderSpec spec, QuantizationSettings settings) {
    if (settings.needsGradients()) {
      return new DistinctBlocks(
          spec.blocks(), ImmutableList.copyOf(Collections.nCopies(spec.blocks().size(), 1.0)));
    }
    Multiset<Shape> all = HashMultiset.create();
    Multiset<Shape> chosen = HashMultiset.create();
    ImmutableList.Builder<BlockSpec> distinct = ImmutableList.builder();
    ImmutableList.Builder<Shape> shapes = ImmutableList.builder();
    for (BlockSpec block : spec.blocks()) {
      Shape shape = Shape.of(block, settings);
      if (all.add(shape, 1) == 0 || !block.kept().isEmpty()) {
        distinct.add(block);
        shapes.add(shape);
        chosen.add(shape);
      }
    }
    return new DistinctBlocks(
        distinct.build(),
        shapes.build().stream()
            .map(shape -> (double) all.count(shape) / chosen.count(shape))
            .collect(ImmutableList.toImmutableList()));
  }
}
