package dev.gptq.models.evaluation;

import dev.gptq.formats.BadInputException;

/**
 * Whether what a model predicts are numbers. A measurement of anything else is refused: NaN would
 * go through tables, means and choices without a word.
 */
public final class Sound {
  private Sound() {}

  /**
   * Throws {@link BadInputException} if a value is NaN or infinite.
   *
   * @param whose which model, as a message begins
   * @param window the window, from 0 on, that the value is of
   */
  static void require(double value, String whose, int window) {
    if (!Double.isFinite(value)) {
      throw unsound(whose, " in window " + (window + 1));
    }
  }

  /** Throws {@link BadInputException} if a measurement of all windows is NaN or infinite. */
  public static double require(double value, String whose) {
    if (!Double.isFinite(value)) {
      throw unsound(whose, "");
    }
    return value;
  }

  static BadInputException unsound(String whose, String where) {
    return new BadInputException(
        ("%s predicts NaN or infinite numbers%s: its weights are damaged, or its activations are too"
                + " large for their type; check the checkpoint, or compute in float32")
            .formatted(whose, where));
  }
}
