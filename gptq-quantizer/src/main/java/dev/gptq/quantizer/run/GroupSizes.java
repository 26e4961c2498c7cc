package dev.gptq.quantizer.run;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantize.GptqOptions;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Group sizes that servers take, and which of them a model's widths allow. */
final class GroupSizes {
  private static final int[] SERVED = {128, 64, 32};

  private GroupSizes() {}

  /** The largest that divides the inputs of all selected modules, or whole rows. */
  static int fitting(DecoderSpec spec, Predicate<String> selection) {
    return all(spec, selection).findFirst().orElse(GptqOptions.PER_ROW);
  }

  /** What {@link #fitting} chose and why. */
  static String choice(int size) {
    return size == GptqOptions.PER_ROW
        ? "group size: whole rows, because none of 128, 64 and 32 divides the inputs of all modules"
        : "group size %d, the largest of 128, 64 and 32 that divides the inputs of all modules"
            .formatted(size);
  }

  /** What to give in place of a size that does not divide the inputs of all selected modules. */
  static String suggestion(DecoderSpec spec, Predicate<String> selection) {
    String sizes =
        all(spec, selection).mapToObj(String::valueOf).collect(Collectors.joining(" or "));
    return sizes.isEmpty()
        ? "none of 128, 64 and 32, which servers take, divides the inputs of all modules; give"
            + " --group-size -1 for whole rows"
        : "give --group-size "
            + sizes
            + ", which all modules allow and servers take, or -1 for"
            + " whole rows";
  }

  private static IntStream all(DecoderSpec spec, Predicate<String> selection) {
    return IntStream.of(SERVED).filter(size -> fits(spec, selection, size));
  }

  private static boolean fits(DecoderSpec spec, Predicate<String> selection, int size) {
    for (BlockSpec block : spec.blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        if (selection.test(block.nameOf(linear)) && linear.inputs() % size != 0) {
          return false;
        }
      }
    }
    return true;
  }
}
