package dev.gptq.quantizer.tune;

import dev.gptq.quantizer.pipeline.KeptRows;
import java.util.List;
import java.util.OptionalInt;

/** Keeps where a tuning stands, so that it can go on from there after an interruption. */
public interface TuningStates {
  /** After how many looks at the held-out text the newest state was kept, if one was. */
  OptionalInt newest();

  /**
   * Fills in the state after so many looks.
   *
   * @return whether that could be done; if not, what the state holds means nothing
   */
  boolean load(int looks, List<? extends KeptRows> state);

  /** Offers the state after so many looks; whether it is kept is the store's choice. */
  void put(int looks, List<? extends KeptRows> state);

  /** Keeps nothing. */
  TuningStates NONE =
      new TuningStates() {
        @Override
        public OptionalInt newest() {
          return OptionalInt.empty();
        }

        @Override
        public boolean load(int looks, List<? extends KeptRows> state) {
          return false;
        }

        @Override
        public void put(int looks, List<? extends KeptRows> state) {}
      };
}
