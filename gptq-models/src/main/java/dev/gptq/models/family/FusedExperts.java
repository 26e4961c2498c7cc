package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.FusedSpec.Order;
import dev.gptq.models.family.LinearSpec.Storage;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * How a checkpoint may keep the weights of all experts of a layer in two tensors.
 *
 * @param gateUp name of the tensor of gates and what they multiply
 * @param down name of the tensor behind them
 * @param order how outputs of gate and up follow each other
 * @param storage which dimension of each matrix comes first
 */
record FusedExperts(String gateUp, String down, Order order, Storage storage) {

  /** As transformers keeps them: gates first, out × in. */
  static FusedExperts below(String experts) {
    return new FusedExperts(
        experts + "gate_up_proj", experts + "down_proj", Order.BEHIND, Storage.OUT_IN);
  }

  /** The same with matrices that are in × out. */
  FusedExperts transposed() {
    return new FusedExperts(gateUp, down, order, Storage.IN_OUT);
  }

  /** The same with gate and up in turns. */
  FusedExperts interleaved() {
    return new FusedExperts(gateUp, down, Order.INTERLEAVED, storage);
  }

  /** All experts of a layer, of which each may be a part of these tensors. */
  ImmutableList<Body> split(int count, IntFunction<FeedForward> expert) {
    return IntStream.range(0, count)
        .<Body>mapToObj(e -> expert.apply(e).asExpert(e, this))
        .collect(ImmutableList.toImmutableList());
  }

  FusedSpec gate(int expert) {
    return new FusedSpec(gateUp, expert, 0, 2, order, storage);
  }

  FusedSpec up(int expert) {
    return new FusedSpec(gateUp, expert, 1, 2, order, storage);
  }

  FusedSpec down(int expert) {
    return new FusedSpec(down, expert, 0, 1, order, storage);
  }
}
