package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.quantizer.pipeline.BorderChoice;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import dev.gptq.quantizer.store.WorkFolder;
import dev.gptq.quantizer.tune.ModelTuning;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningNotes;
import dev.gptq.quantizer.tune.TuningOutcome;
import dev.gptq.quantizer.tune.TuningStates;
import dev.gptq.quantizer.tune.TuningText;
import dev.gptq.tensor.OutOfMemoryException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** The tuning of a plan: its settings, its text, what it takes, and carrying it out. */
public final class PlannedTuning {
  private final Model model;
  private final QuantizationSettings settings;
  private final Tuning tuning;
  private final TuningText text;
  private final Optional<HiddenStates> hiddenStates;

  /**
   * A tuning.
   *
   * @param hiddenStates where those are to be between the blocks of a backward pass, if that is
   *     said
   */
  PlannedTuning(
      Model model,
      QuantizationSettings settings,
      Tuning tuning,
      TuningText text,
      Optional<HiddenStates> hiddenStates) {
    this.model = model;
    this.settings = settings;
    this.tuning = tuning;
    this.text = text.writtenFor(tuning, model.spec().linearWeights());
    this.hiddenStates = hiddenStates;
  }

  /**
   * The tuning that was asked for, or that of the preset where the model can be tuned.
   *
   * @param notes hears why there is none although the preset has it
   * @throws RequestException if the one that was asked for is not possible
   */
  public static Optional<Tuning> choice(
      DecoderSpec spec,
      QuantizationSettings settings,
      Optional<Tuning> asked,
      boolean preset,
      Consumer<String> notes) {
    if (asked.isEmpty() && !preset) {
      return Optional.empty();
    }
    Optional<String> refusal = ModelTuning.refusal(spec, settings);
    if (refusal.isEmpty()) {
      return asked.or(() -> Optional.of(Tuning.of(Tuning.USUAL_STEPS)));
    }
    if (asked.isPresent()) {
      throw new RequestException(
          "--tune is not possible: %s; leave it out".formatted(refusal.get()));
    }
    notes.accept(refusal.get() + "; not tuned");
    return Optional.empty();
  }

  /** The windows. */
  public TuningText text() {
    return text;
  }

  /** What will be done, for people. */
  public String sentence() {
    long weights =
        IntStream.range(0, model.spec().blocks().size())
            .mapToObj(model.spec().blocks()::get)
            .flatMap(
                block -> block.linears().filter(l -> settings.selection().test(block.nameOf(l))))
            .mapToLong(linear -> (long) linear.outputs() * linear.inputs())
            .sum();
    return String.format(
        Locale.ROOT,
        "then tunes %.1f million weights%s end to end in at most %d steps of %d windows%s; the text has %d"
            + " windows, %d tokens, %.3f a weight, of which %d windows are held out%s",
        weights / 1e6,
        tuning.stepsOfBlock() == 0
            ? ""
            : ", block by block in %d steps each and then".formatted(tuning.stepsOfBlock()),
        tuning.steps(),
        Math.min(Tuning.WINDOWS, text.training().size()),
        tuning.momentum(text) == 0 ? "" : " with a momentum of " + tuning.momentum(text),
        text.training().size() + text.heldOut().size(),
        text.tokens(),
        (double) text.tokens() / weights,
        text.heldOut().size(),
        text.written() == 0
            ? ""
            : ", and the model itself writes %d %s more"
                .formatted(text.written(), text.chats().isPresent() ? "conversations" : "windows"));
  }

  /** Where its backward passes have hidden states, and what it takes, by a rehearsal. */
  public BorderChoice choice(Backend backend) {
    ImmutableList<int[]> some =
        text.training().subList(0, Math.min(Tuning.WINDOWS, text.training().size()));
    return BorderChoice.of(
        backend,
        hiddenStates,
        BorderRoom.bytes(model.spec(), some, backend.activationType()),
        where -> tuning(where, Path.of("")).bytes(backend, model::weights));
  }

  /** Throws if it takes more than there is room for. */
  void requireRoom(Backend backend) {
    long needed = choice(backend).tensors();
    long room = backend.memory().most();
    if (needed > room) {
      throw new OutOfMemoryException(
          "no memory: tuning holds the whole model and takes about %d MiB of tensors, and %s has room for %d MiB. --quality best does without; shorter windows (--seq-len) take less%s"
              .formatted(
                  needed >> 20,
                  backend.info().device(),
                  room >> 20,
                  tuning.momentum(text) == 0 ? "" : ", and so does --tune-momentum 0"));
    }
  }

  /** Tunes the finished blocks of a run, with files in its folder if there are any. */
  TuningOutcome run(
      Backend backend, WorkFolder work, TuningStates states, QuantizationListener listener) {
    listener.note(sentence());
    BorderChoice borders = choice(backend);
    borders.note().ifPresent(listener::note);
    TuningOutcome outcome =
        tuning(borders.where(), work.hiddenStates())
            .run(
                backend,
                model.weights(backend),
                block -> {
                  Map<String, QuantizedModule> modules = new LinkedHashMap<>();
                  work.modules(block).forEach((name, kept) -> modules.put(name, kept.quantized()));
                  return modules;
                },
                work,
                states,
                new TuningNotes(listener::note, look -> listener.tuning(tuning.steps(), look)));
    listener.note(sentence(outcome));
    return outcome;
  }

  /** What came of tuning, for people. */
  public static String sentence(TuningOutcome outcome) {
    double before = outcome.looks().getFirst().heldOut();
    if (!outcome.gained()) {
      return String.format(
          Locale.ROOT,
          "tuning gained nothing in %d steps: KL on held-out text stays %.4g; more text may help"
              + " (--tune-text)",
          outcome.steps(),
          before);
    }
    return String.format(
        Locale.ROOT,
        "tuning at rate %s took KL on held-out text from %.4g to %.4g (%.1f %%) in %d steps, of which %d were done",
        outcome.rate(),
        before,
        outcome.best().heldOut(),
        100 * (outcome.best().heldOut() / before - 1),
        outcome.best().step(),
        outcome.steps());
  }

  private ModelTuning tuning(HiddenStates borders, Path folder) {
    return new ModelTuning(model.spec(), settings, tuning, text)
        .with(new BorderPlace(borders, folder));
  }
}
