package dev.gptq.quantizer.pipeline;

import java.util.List;
import java.util.OptionalInt;

/**
 * Keeps the activations with which a block begins, and what the backward pass found, so that a run
 * that goes on need not compute the blocks before it, nor that pass, again. A job does without if
 * there are none.
 */
public interface StateStore {
  /** The newest block, {@code last} at most, before which states are kept. */
  OptionalInt newest(int last);

  /**
   * Fills in the states before a block, in the order in which they were put.
   *
   * @return whether that could be done; if not, what the tensors hold means nothing
   */
  boolean load(int block, List<? extends KeptRows> states);

  /**
   * Offers the states before a block; whether they are kept is the store's choice.
   *
   * @param stored waits until the blocks before this one are kept, without which the states are of
   *     no use
   */
  void put(int block, List<? extends KeptRows> states, Runnable stored);

  /**
   * Fills in the sums of the backward pass, in the order in which they were put.
   *
   * @return whether that could be done; if not, what the tensors hold means nothing
   */
  default boolean loadCurvature(List<PlacedTensor> sums) {
    return false;
  }

  /** Offers the sums of the backward pass; whether they are kept is the store's choice. */
  default void putCurvature(List<PlacedTensor> sums) {}

  /** Keeps nothing. */
  StateStore NONE =
      new StateStore() {
        @Override
        public OptionalInt newest(int last) {
          return OptionalInt.empty();
        }

        @Override
        public boolean load(int block, List<? extends KeptRows> states) {
          return false;
        }

        @Override
        public void put(int block, List<? extends KeptRows> states, Runnable stored) {}
      };
}
