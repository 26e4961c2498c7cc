package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Modules that must be quantized with the same bits and group size, because loaders fuse them into
 * one: those that read the same input (query, key and value; gate and up), and all experts of a
 * block.
 *
 * @param block index of the block
 * @param spec the block
 * @param inputs the modules by the input that they share
 * @param experts whether these are experts
 */
record Unit(int block, BlockSpec spec, ImmutableList<Input> inputs, boolean experts) {

  /**
   * Modules that share an input and so a Hessian.
   *
   * @param index which of the block's groups of linear layers it is
   * @param modules those of the group that are quantized
   */
  record Input(int index, ImmutableList<LinearSpec> modules) {}

  /** The units of a model, of the modules whose full name is selected. */
  static ImmutableList<Unit> of(DecoderSpec spec, Predicate<String> selection) {
    ImmutableList.Builder<Unit> units = ImmutableList.builder();
    for (int b = 0; b < spec.blocks().size(); b++) {
      BlockSpec block = spec.blocks().get(b);
      List<Input> ofExperts = new ArrayList<>();
      boolean expert = false;
      int index = 0;
      for (Step step : block.steps()) {
        switch (step) {
          case Step.Gather gather -> expert = isChoice(block, gather.routes());
          case Step.Scatter scatter -> expert = false;
          case Step.Linears group -> {
            ImmutableList<LinearSpec> selected =
                group.modules().stream()
                    .filter(module -> selection.test(block.nameOf(module)))
                    .collect(ImmutableList.toImmutableList());
            Input input = new Input(index++, selected);
            if (selected.isEmpty()) {
              continue;
            }
            if (expert) {
              ofExperts.add(input);
            } else {
              units.add(new Unit(b, block, ImmutableList.of(input), false));
            }
          }
          default -> {}
        }
      }
      if (!ofExperts.isEmpty()) {
        units.add(new Unit(b, block, ImmutableList.copyOf(ofExperts), true));
      }
    }
    return units.build();
  }

  /** Whether routes lead to several experts; a shared one has routes of its own. */
  private static boolean isChoice(BlockSpec block, String routes) {
    return block.steps().stream()
        .anyMatch(step ->
            step instanceof Step.Gather gather
                && gather.routes().equals(routes)
                && gather.expert() > 0);
  }

  /** The modules of all inputs. */
  Stream<LinearSpec> modules() {
    return inputs.stream().flatMap(input -> input.modules().stream());
  }

  /** Full names of the modules. */
  Stream<String> names() {
    return modules().map(spec::nameOf);
  }

  /** Bytes of all modules' tensors with a setting. */
  long bytes(Precision precision) {
    return modules().mapToLong(m -> precision.bytes(m.outputs(), m.inputs())).sum();
  }

  /** Whether groups divide the inputs and the codes fill whole words, as checkpoints want them. */
  boolean accepts(Precision precision) {
    return modules()
        .allMatch(m ->
            (precision.groupSize() == -1 || m.inputs() % precision.groupSize() == 0)
                && (long) m.inputs() * precision.bits() % Integer.SIZE == 0
                && (long) m.outputs() * precision.bits() % Integer.SIZE == 0);
  }
}
