package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamily;
import java.util.Optional;

/**
 * Windows of a model whose file lists them.
 *
 * @param layers for each layer the positions that it sees, 0 if all
 */
record ListedWindows(ImmutableList<Integer> layers) {

  static ListedWindows of(DecoderSpec spec) {
    return new ListedWindows(
        spec.blocks().stream().map(ListedWindows::window).collect(ImmutableList.toImmutableList()));
  }

  private static int window(BlockSpec block) {
    return block.steps(Step.Attention.class).mapToInt(step -> step.spec().window()).sum();
  }

  /** The size of all windows, or another if there are none. */
  int size(int otherwise) {
    return layers.stream().filter(size -> size > 0).findFirst().orElse(otherwise);
  }

  /** Which layers have one. */
  ImmutableList<Boolean> sliding() {
    return layers.stream().map(size -> size > 0).collect(ImmutableList.toImmutableList());
  }

  /** What llama.cpp does not compute. */
  Optional<String> refusal(GgufFamily family, DecoderSpec spec) {
    if (layers.stream().filter(size -> size > 0).distinct().count() > 1) {
      return Optional.of("layers have windows of different sizes");
    }
    for (int layer = 0; layer < layers.size(); layer++) {
      BlockSpec block = spec.blocks().get(layer);
      boolean rotated = BlockKinds.rotates(block);
      boolean wanted =
          layers.get(layer) > 0
              || (family.has(GgufFamily.Trait.ROTATED_DENSE) && !block.hasExperts());
      if (rotated != wanted) {
        return Optional.of(
            "positions of layer %d are %srotated".formatted(layer, rotated ? "" : "not "));
      }
    }
    return Optional.empty();
  }
}
