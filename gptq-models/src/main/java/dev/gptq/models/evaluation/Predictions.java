package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.forward.Decoder;
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
  public static Predictions of(Decoder model, ImmutableList<int[]> windows) {
    int vocabulary = model.spec().vocabulary();
    ImmutableList.Builder<Batch> batches = ImmutableList.builder();
    for (List<int[]> batch : Perplexity.batches(windows)) {
      try (Decoder.Outputs outputs = model.run(batch)) {
        float[] all = outputs.logits(0, batch.size() * batch.getFirst().length);
        batches.add(
            new Batch(
                batch, (from, to) -> Arrays.copyOfRange(all, from * vocabulary, to * vocabulary)));
      }
    }
    return new Predictions(vocabulary, batches.build());
  }

  /** The mean KL divergence of a model from these predictions. */
  public double divergence(Decoder model) {
    int length = batches.getFirst().windows().getFirst().length;
    int windows = batches.stream().mapToInt(batch -> batch.windows().size()).sum();
    Divergence.Positions positions =
        new Divergence.Positions(Math.multiplyExact(windows, length - 1), length, vocabulary);
    for (Batch batch : batches) {
      try (Decoder.Outputs outputs = model.run(batch.windows())) {
        positions.compare(batch.windows(), batch.logits(), outputs::logits);
      }
    }
    return positions.summary().kl().mean();
  }
}
