package dev.gptq.models.evaluation;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Lists;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.forward.TextModel;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * Perplexity over windows of equal length: {@code exp} of the mean over windows of the mean
 * cross-entropy of their positions 2 … length.
 *
 * @param perplexity the value
 * @param windows number of windows
 * @param length tokens of a window
 */
public record Perplexity(double perplexity, int windows, int length) {
  /** Tokens that go through the model together: enough rows for an efficient matrix product. */
  private static final int BATCH_TOKENS = 2048;

  /**
   * Measures a model; {@code progress} hears the number of windows done.
   *
   * @throws dev.gptq.formats.BadInputException if it predicts anything but finite numbers
   */
  public static Perplexity of(TextModel model, ImmutableList<int[]> windows, IntConsumer progress) {
    Preconditions.checkArgument(!windows.isEmpty(), "no windows to evaluate");
    int length = windows.getFirst().length;
    Preconditions.checkArgument(length > 1, "a window of one token predicts nothing");
    double total = 0;
    int done = 0;
    List<List<int[]>> batches = batches(windows);
    try (TextModel.Reading reading = model.read(batches, progress)) {
      for (List<int[]> batch : batches) {
        try (Outputs outputs = reading.next()) {
          float[] losses = outputs.losses();
          for (int i = 0; i < losses.length; i++) {
            Sound.require(losses[i], "the model", done + i / length);
            total += losses[i];
          }
        }
        done += batch.size();
      }
    }
    double mean = total / ((long) windows.size() * (length - 1));
    return new Perplexity(Sound.require(Math.exp(mean), "the model"), windows.size(), length);
  }

  /** Windows in the batches in which models are measured. */
  static List<List<int[]>> batches(List<int[]> windows) {
    return batches(windows, BATCH_TOKENS);
  }

  /** Windows in batches of about that many tokens. */
  public static List<List<int[]>> batches(List<int[]> windows, int tokens) {
    return Lists.partition(windows, Math.max(1, tokens / windows.getFirst().length));
  }
}
