package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.forward.Outputs;
import dev.gptq.models.forward.TextModel;
import java.util.List;

/**
 * What a model predicts for a few windows of text, kept so that changes to its blocks can be
 * compared with what it was: of each token what the last block leaves behind, of which logits are
 * made anew by the model's head, which must stay as it is.
 */
public final class Predictions implements AutoCloseable {
  private final List<List<int[]>> batches;
  private final TextModel.Reading reading;
  private final ImmutableList<Outputs> outputs;

  private Predictions(
      List<List<int[]>> batches, TextModel.Reading reading, ImmutableList<Outputs> outputs) {
    this.batches = batches;
    this.reading = reading;
    this.outputs = outputs;
  }

  /**
   * Runs a model, which must not be closed before what is returned.
   *
   * @param windows of equal length
   */
  public static Predictions of(TextModel model, ImmutableList<int[]> windows) {
    List<List<int[]>> batches = Perplexity.batches(windows);
    TextModel.Reading reading = model.read(batches, done -> {});
    boolean read = false;
    try {
      ImmutableList<Outputs> outputs =
          batches.stream().map(_ -> reading.next()).collect(ImmutableList.toImmutableList());
      read = true;
      return new Predictions(batches, reading, outputs);
    } finally {
      if (!read) {
        reading.close();
      }
    }
  }

  /** The mean KL divergence of a model from these predictions. */
  public double divergence(TextModel model) {
    int length = batches.getFirst().getFirst().length;
    int windows = batches.stream().mapToInt(List::size).sum();
    Divergence.Positions positions =
        new Divergence.Positions(Math.multiplyExact(windows, length - 1), length);
    try (TextModel.Reading now = model.read(batches, done -> {})) {
      for (int i = 0; i < batches.size(); i++) {
        try (Outputs changed = now.next()) {
          positions.compare(batches.get(i), outputs.get(i), changed);
        }
      }
    }
    return positions.summary().kl().mean();
  }

  @Override
  public void close() {
    outputs.forEach(Outputs::close);
    reading.close();
  }
}
