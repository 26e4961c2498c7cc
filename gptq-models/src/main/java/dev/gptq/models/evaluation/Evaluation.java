package dev.gptq.models.evaluation;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.models.forward.TextModel;
import dev.gptq.models.text.EvaluationText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
  private final Backend backend;
  private final Loading loading;
  private final ImmutableList<int[]> windows;
  private final List<String> notes;

  private Evaluation(
      Model model,
      Backend backend,
      Loading loading,
      ImmutableList<int[]> windows,
      ImmutableList<String> notes) {
    this.model = model;
    this.backend = backend;
    this.loading = loading;
    this.windows = windows;
    this.notes = new ArrayList<>(notes);
  }

  /** Opens a model, which is loaded as it fits, and cuts the text into windows. */
  public static Evaluation of(Path model, EvaluationText text, Backend backend) throws IOException {
    return of(model, text, backend, Loading.AUTO);
  }

  /** Opens a model and cuts the text into windows; the caller closes the backend. */
  public static Evaluation of(Path model, EvaluationText text, Backend backend, Loading loading)
      throws IOException {
    Model opened = Model.open(model);
    boolean cut = false;
    try {
      ImmutableList.Builder<String> warnings = ImmutableList.builder();
      ImmutableList<int[]> windows = text.windows(opened, warnings::add);
      Evaluation evaluation = new Evaluation(opened, backend, loading, windows, warnings.build());
      cut = true;
      return evaluation;
    } finally {
      if (!cut) {
        opened.close();
      }
    }
  }

  /** The model. */
  public Model model() {
    return model;
  }

  /**
   * What of the text could not be given as asked for, and what is odd about the model: its files,
   * and after a measurement the weights that were loaded for it, and how.
   */
  public ImmutableSet<String> warnings() {
    return ImmutableSet.<String>builder().addAll(notes).addAll(model.warnings()).build();
  }

  /** The windows that are measured on. */
  public ImmutableList<int[]> windows() {
    return windows;
  }

  /** Its perplexity; {@code progress} hears how many windows are done. */
  public Perplexity perplexity(IntConsumer progress) {
    Loading fitting = loading.resolve(backend, ImmutableList.of(model), windows, notes::add);
    try (TextModel loaded = fitting.load(backend, model, ImmutableMap.of())) {
      return Perplexity.of(loaded, windows, progress);
    }
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
      Loading both = loading.resolve(backend, ImmutableList.of(model, other), windows, notes::add);
      try (TextModel loaded = both.load(backend, model, ImmutableMap.of());
          TextModel original = both.load(backend, other, ImmutableMap.of())) {
        return Divergence.of(original, loaded, windows, progress);
      }
    }
  }

  @Override
  public void close() throws IOException {
    model.close();
  }
}
