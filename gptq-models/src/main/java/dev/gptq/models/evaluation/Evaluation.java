package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.EvaluationText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.IntConsumer;

/**
 * Measures the model in a folder, full-precision or quantized, on a text:
 *
 * <pre>{@code
 * Evaluation.of(Path.of("M-w4"), EvaluationText.of(Path.of("wiki.test.raw")), backend)
 *     .against(Path.of("M"), done -> {});
 * }</pre>
 *
 * <p>A quantized model runs on its packed weights. Closing it closes the model.
 */
public final class Evaluation implements AutoCloseable {
  private final Model model;
  private final Decoder decoder;
  private final ImmutableList<int[]> windows;
  private final ImmutableList<String> warnings;

  private Evaluation(
      Model model, Decoder decoder, ImmutableList<int[]> windows, ImmutableList<String> warnings) {
    this.model = model;
    this.decoder = decoder;
    this.windows = windows;
    this.warnings = warnings;
  }

  /** Opens a model and cuts the text into windows; the caller closes the backend. */
  public static Evaluation of(Path model, EvaluationText text, Backend backend) throws IOException {
    Model opened = Model.open(model);
    boolean loaded = false;
    try {
      ImmutableList.Builder<String> warnings = ImmutableList.builder();
      ImmutableList<int[]> windows = text.windows(opened, warnings::add);
      Decoder decoder = opened.load(backend);
      Evaluation evaluation =
          new Evaluation(opened, decoder, windows, warnings.addAll(opened.warnings()).build());
      loaded = true;
      return evaluation;
    } finally {
      if (!loaded) {
        opened.close();
      }
    }
  }

  /** The model. */
  public Model model() {
    return model;
  }

  /** What is odd about the model, and what of the text could not be given as asked for. */
  public ImmutableList<String> warnings() {
    return warnings;
  }

  /** The windows that are measured on. */
  public ImmutableList<int[]> windows() {
    return windows;
  }

  /** Its perplexity; {@code progress} hears how many windows are done. */
  public Perplexity perplexity(IntConsumer progress) {
    return Perplexity.of(decoder, windows, progress);
  }

  /**
   * How far its predictions are from those of another model, the full-precision original say.
   *
   * @throws BadInputException if the other has another vocabulary
   */
  public Divergence against(Path base, IntConsumer progress) throws IOException {
    try (Model other = Model.open(base)) {
      int vocabulary = other.spec().vocabulary();
      if (vocabulary != model.spec().vocabulary()) {
        throw new BadInputException(
            base
                + " has a vocabulary of "
                + vocabulary
                + " tokens and "
                + model.path()
                + " one of "
                + model.spec().vocabulary()
                + "; compare with the model that was quantized");
      }
      try (Decoder original = other.load(decoder.backend())) {
        return Divergence.of(original, decoder, windows, progress);
      }
    }
  }

  @Override
  public void close() throws IOException {
    decoder.close();
    model.close();
  }
}
