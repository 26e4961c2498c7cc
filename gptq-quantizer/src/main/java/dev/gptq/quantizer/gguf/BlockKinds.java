package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamily;
import dev.gptq.models.gguf.GgufFamily.Trait;
import dev.gptq.models.gguf.StateShape;
import java.util.Optional;
import java.util.stream.IntStream;

/** What blocks of a model are, where they are not alike, and what llama.cpp cannot do of it. */
final class BlockKinds {
  /** The shortest step of Nemotron-H, which its own code and llama.cpp do not keep to. */
  private static final float USUAL_STEP = 0.001f;

  private final DecoderSpec spec;
  private final GgufFamily family;

  BlockKinds(DecoderSpec spec, GgufFamily family) {
    this.spec = spec;
    this.family = family;
  }

  /** Whether a family is one of models with such blocks. */
  boolean suits() {
    boolean experts = spec.blocks().stream().anyMatch(BlockSpec::hasExperts);
    boolean mixed = !spec.blocks().stream().allMatch(BlockKinds::attends);
    return experts != family.experts().isEmpty() && mixed == family.has(Trait.MIXED_BLOCKS);
  }

  static boolean attends(BlockSpec block) {
    return block.has(Step.Attention.class);
  }

  /** Whether a block turns queries and keys. */
  static boolean rotates(BlockSpec block) {
    return block.has(Step.Rope.class);
  }

  /** What is there that has no place, if anything. */
  Optional<String> refusal() {
    if (family.has(Trait.INTERVAL) && interval().isEmpty()) {
      return Optional.of("layer_types have attention in other blocks than each so manieth");
    }
    return steps().or(this::sizes);
  }

  /** llama.cpp has one size for keys and values of Gated DeltaNet. */
  private Optional<String> sizes() {
    return state()
        .filter(state -> !state.selective() && state.keySize() != state.valueSize())
        .map(state ->
            "linear_value_head_dim is %d and not %d".formatted(state.valueSize(), state.keySize()));
  }

  /** Which blocks have attention, as the first number of which all multiples have it. */
  Optional<Integer> interval() {
    int blocks = spec.blocks().size();
    return IntStream.rangeClosed(1, blocks + 1)
        .filter(interval ->
            IntStream.rangeClosed(1, blocks)
                .allMatch(
                    number -> attends(spec.blocks().get(number - 1)) == (number % interval == 0)))
        .boxed()
        .findFirst();
  }

  private Optional<String> steps() {
    return spec.blocks().stream()
        .flatMap(block -> block.steps(Step.StateSpace.class))
        .filter(space ->
            Float.isFinite(space.longest())
                || !(space.shortest() == 0
                    || (family.has(Trait.SINGLE_PURPOSE) && space.shortest() == USUAL_STEP)))
        .findFirst()
        .map(space ->
            "%s keeps steps between %s and %s"
                .formatted(
                    family.has(Trait.SINGLE_PURPOSE) ? "time_step_min" : "time_step_limit",
                    space.shortest(),
                    space.longest()));
  }

  /** Heads of keys of each block, none where something else is in place of attention. */
  ImmutableList<Integer> keyHeads() {
    return spec.blocks().stream()
        .map(block ->
            block
                .steps(Step.Attention.class)
                .map(step -> step.spec().keyValueHeads())
                .findFirst()
                .orElse(0))
        .collect(ImmutableList.toImmutableList());
  }

  /** Features within the feed-forward network or an expert of each block, none without one. */
  ImmutableList<Integer> inner() {
    return spec.blocks().stream()
        .map(block ->
            block
                .linears()
                .filter(linear -> linear.module().endsWith(".up_proj"))
                .filter(linear -> !block.hasExperts() || isExpert(linear))
                .findFirst()
                .map(LinearSpec::outputs)
                .orElse(0))
        .collect(ImmutableList.toImmutableList());
  }

  private boolean isExpert(LinearSpec linear) {
    return linear.module().startsWith(family.experts());
  }

  /** Shapes of Mamba-2 or Gated DeltaNet, if it has them. */
  Optional<StateShape> state() {
    return StateShape.of(spec);
  }
}
