package dev.gptq.models.evaluation;

import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Parameters.Parameter;
import dev.gptq.tensor.OutOfMemoryException;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * What a model takes of a backend's memory, by arithmetic: packed weights as they are stored, all
 * others in the type of activations.
 *
 * @param spec the model
 * @param number bytes of an activation
 * @param ends bytes of embedding and head
 * @param block bytes of the largest block
 * @param whole bytes of all weights
 */
record WeightSize(DecoderSpec spec, int number, long ends, long block, long whole) {
  /** Logits that are there at a time, with what they are computed from: see {@code Ends}. */
  private static final long LOGITS = 3L << 28;

  static WeightSize of(Backend backend, Model model) {
    DecoderSpec spec = model.spec();
    int number = backend.activationType().bytes();
    long[] blocks =
        spec.blocks().stream().mapToLong(block -> bytes(block, model, number)).toArray();
    long tables = spec.head().matrix().equals(spec.embedding().table()) ? 1 : 2;
    long ends = tables * number * spec.vocabulary() * spec.embedding().size();
    long all = ends;
    long most = 0;
    for (long block : blocks) {
      all += block;
      most = Math.max(most, block);
    }
    return new WeightSize(spec, number, ends, most, all);
  }

  private static long bytes(BlockSpec block, Model model, int number) {
    return Parameters.of(block).tensors().entrySet().stream()
        .mapToLong(entry -> bytes(entry, model, number))
        .sum();
  }

  private static long bytes(Map.Entry<String, Parameter> entry, Model model, int number) {
    if (entry.getValue().linear().isPresent()) {
      OptionalLong packed = model.packedBytes(Parameters.module(entry.getKey()));
      if (packed.isPresent()) {
        return packed.getAsLong();
      }
    }
    return number * entry.getValue().shape().stream().reduce(1L, (a, b) -> a * b);
  }

  /** At most so many bytes of activations and logits while a batch goes through a block. */
  long batch(List<int[]> windows) {
    long tokens =
        Perplexity.batches(windows).getFirst().stream().mapToLong(window -> window.length).sum();
    long widest = spec.blocks().stream().mapToLong(WeightSize::features).max().orElse(0);
    return tokens * widest * number + LOGITS;
  }

  /** Features of all activations of a block, as if none of them were given up before its end. */
  private static long features(BlockSpec block) {
    return block.linears().flatMap(WeightSize::widths).mapToLong(Long::longValue).sum();
  }

  private static Stream<Long> widths(LinearSpec linear) {
    return Stream.of((long) linear.inputs(), (long) linear.outputs());
  }

  /**
   * Refuses models of which there is no room for a block, the ends, and the residual stream of all
   * windows.
   */
  static void requireBlocks(
      List<WeightSize> models, List<int[]> windows, long room, String device) {
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    long needed =
        models.stream().mapToLong(size -> size.states(tokens) + size.ends).sum()
            + models.stream().mapToLong(WeightSize::block).max().orElseThrow();
    if (needed > room) {
      throw new OutOfMemoryException(
          "no memory: block by block %d windows take about %d MiB, and %s has room for %d MiB; measure fewer with --windows"
              .formatted(windows.size(), needed >> 20, device, room >> 20));
    }
  }

  private long states(long tokens) {
    return tokens * spec.hidden() * number;
  }
}
