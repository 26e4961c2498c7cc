package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Importance;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.util.Arrays;

/**
 * What of a run lies in Java's heap at least, in bytes: two blocks of packed weights (one that is
 * being quantized, one that is being written), the codes of the modules that are packed together
 * and those that {@linkplain QuantizationJob#waitingCodes wait} for that, a byte each, for each
 * token its id, and 12 for each expert that it goes to, and an importance matrix. Garbage comes on
 * top, as much as the heap allows.
 */
final class HeapEstimate {
  private static final int BYTES_OF_A_ROUTE = Integer.BYTES + Double.BYTES;

  private HeapEstimate() {}

  static long of(DecoderSpec spec, QuantizationSettings settings, ImmutableList<int[]> windows) {
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    long block = 0;
    long codes = 0;
    long routes = 0;
    for (BlockSpec b : spec.blocks()) {
      block =
          Math.max(
              block,
              b.linears()
                  .filter(linear -> settings.selection().test(b.nameOf(linear)))
                  .mapToLong(linear -> keptBytes(linear, settings.optionsOf(b.nameOf(linear))))
                  .sum());
      codes = Math.max(codes, codes(b));
      routes =
          Math.max(
              routes,
              b.steps().stream()
                  .filter(Step.Route.class::isInstance)
                  .mapToLong(step -> ((Step.Route) step).routing().chosen())
                  .sum());
    }
    return 2 * block
        + codes
        + tokens * (Integer.BYTES + routes * BYTES_OF_A_ROUTE)
        + settings.importance().map(Importance::bytes).orElse(0L);
  }

  private static long codes(BlockSpec block) {
    long[] groups =
        block
            .groups()
            .mapToLong(group -> group.modules().stream().mapToLong(HeapEstimate::elements).sum())
            .toArray();
    long together = Arrays.stream(groups).max().orElse(0);
    long others = Arrays.stream(groups).sum() - together;
    return together + Math.min(others, QuantizationJob.waitingCodes());
  }

  private static long keptBytes(LinearSpec linear, GptqOptions options) {
    return DiskEstimate.keptBytes(
        linear, new Precision(options.grid().bits(), options.groupSize()));
  }

  private static long elements(LinearSpec linear) {
    return (long) linear.outputs() * linear.inputs();
  }
}
