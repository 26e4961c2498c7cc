package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.forward.TextModel;
import java.util.Arrays;
import java.util.List;

/**
 * The logits of a model for a few windows of text, kept on the host so that changes to the model
 * can be compared with what it was.
 */
public final class Predictions {
  private final int vocabulary;
  private final ImmutableList<Batch> batches;

  private Predictions(int vocabulary, ImmutableList<Batch> batches) {
    this.vocabulary = vocabulary;
    this.batches = batches;
  }

  private record Batch(List<int[]> windows, Part logits) {}

  /** Logits of positions from … to−1 of a batch: positions × vocabulary. */
  interface Part {
    float[] of(int from, int to);
  }

  /**
   * Runs a model. Takes {@code 4·windows·length·vocabulary} bytes.
   *
   * @param windows of equal length
   */
  public static Predictions of(TextModel model, ImmutableList<int[]> windows) {
    int vocabulary = model.spec().vocabulary();
    List<List<int[]>> batches = Perplexity.batches(windows);
    ImmutableList.Builder<Batch> kept = ImmutableList.builder();
    try (TextModel.Reading reading = model.read(batches, done -> {})) {
      for (List<int[]> batch : batches) {
        try (Outputs outputs = reading.next()) {
          float[] all = outputs.logits(0, batch.size() * batch.getFirst().length);
          kept.add(
              new Batch(
                  batch,
                  (from, to) -> Arrays.copyOfRange(all, from * vocabulary, to * vocabulary)));
        }
      }
    }
    return new Predictions(vocabulary, kept.build());
  }

  /** The mean KL divergence of a model from these predictions. */
  public double divergence(TextModel model) {
    int length = batches.getFirst().windows().getFirst().length;
    int windows = batches.stream().mapToInt(batch -> batch.windows().size()).sum();
    Divergence.Positions positions =
        new Divergence.Positions(Math.multiplyExact(windows, length - 1), length, vocabulary);
    try (TextModel.Reading reading =
        model.read(batches.stream().map(Batch::windows).toList(), done -> {})) {
      for (Batch batch : batches) {
        try (Outputs outputs = reading.next()) {
          positions.compare(batch.windows(), batch.logits(), outputs::logits);
        }
      }
    }
    return positions.summary().kl().mean();
  }
}
