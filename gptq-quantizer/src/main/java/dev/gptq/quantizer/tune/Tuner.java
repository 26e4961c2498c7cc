package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.BorderPlace;
import dev.gptq.quantizer.pipeline.BorderRoom;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Tunes the codes and scales of a whole quantized model at once, so that its predictions come close
 * to those of the full-precision model: sign descent of {@code Σ KL(full ‖ quantized)} over the
 * positions of {@value Tuning#WINDOWS} windows a step, straight through the roundings ({@link
 * dev.gptq.backend.TuningOps}). Before that each block is tuned by itself ({@link BlockTuning}). A
 * held-out part of the text is looked at every so often; the state that is best there is kept, and
 * where it stops gaining the {@link Course} is cut short.
 *
 * <p>Memory of the backend: the model's weights, for each of those that are tuned ten bytes more
 * and with a momentum four besides, what the last block of the full-precision model leaves behind
 * for all windows, and a backward pass or what a {@link BlockTuning} takes.
 */
public final class Tuner {
  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;
  private final Tuning tuning;
  private final TuningText text;
  private final BorderPlace borders;

  /** Hears of a tuning as it goes on. */
  @FunctionalInterface
  public interface Listener {
    /** A look at the held-out text. */
    void look(TuningOutcome.Look look);

    /** A rate was tried for some steps, and what the divergence on the held-out text came to. */
    default void tried(double rate, int steps, double heldOut) {}

    /** The model has written windows to be tuned with. */
    default void wrote(int windows, double seconds) {}

    /**
     * Each block has been tuned by itself.
     *
     * @param left part of the squared errors of what they leave behind
     */
    default void tunedBlocks(int steps, double left, double seconds) {}

    /** Goes on from a state that was kept after so many steps. */
    default void goesOn(int steps) {}
  }

  /** Takes over the modules of a block that tuning has changed, by full name. */
  @FunctionalInterface
  public interface Result {
    /** A block; called for all of them in order. */
    void block(int index, ImmutableMap<String, PackedMatrix> modules);
  }

  /**
   * A tuner of a model of which gradients can be taken.
   *
   * @param source has its full precision
   * @param borders where backward passes have the residual stream before each block
   */
  public Tuner(
      Backend backend,
      DecoderSpec spec,
      WeightSource source,
      Tuning tuning,
      TuningText text,
      BorderPlace borders) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
    this.tuning = tuning;
    this.text = text;
    this.borders = borders;
  }

  /**
   * Tunes.
   *
   * @param modules the quantized modules of a block by description, asked for once a block; those
   *     that are not quantized stay as they are
   * @param states where the state is kept after looks, and the newest is gone on from
   * @param result hears of tuned blocks, unless the first state was the best
   */
  public TuningOutcome run(
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules,
      TuningStates states,
      Listener listener,
      Result result) {
    long start = System.nanoTime();
    try (Decoder decoder = new Decoder(backend, spec, source);
        BorderRoom room = new BorderRoom(decoder, borders);
        TensorScope scope = backend.newScope()) {
      ImmutableList<int[]> read = read(decoder, listener);
      TunedModel model =
          new TunedModel(
              decoder, room.backward(), source, read, text, tuning.momentum(text), modules, scope);
      Course course =
          kept(model, states, listener).orElseGet(() -> new Course(tuning, rate(model, listener)));
      if (course.looks().isEmpty()) {
        begin(model, course, listener);
      }
      run(model, course, states, listener);
      TuningOutcome outcome =
          new TuningOutcome(
              course.rate(),
              course.looks(),
              text.tokens(),
              text.written(),
              model.weights(),
              (System.nanoTime() - start) / 1e9);
      if (outcome.gained()) {
        model.give(result);
      }
      return outcome;
    }
  }

  /** The training windows, and those that the model writes, which has its full precision yet. */
  private ImmutableList<int[]> read(Decoder decoder, Listener listener) {
    if (text.written() == 0) {
      return text.training();
    }
    long start = System.nanoTime();
    ImmutableList<int[]> written =
        WrittenText.of(decoder, text.training(), text.written(), text.chats());
    listener.wrote(written.size(), (System.nanoTime() - start) / 1e9);
    return ImmutableList.<int[]>builder().addAll(text.training()).addAll(written).build();
  }

  /** The newest state that was kept, as the model's. */
  private Optional<Course> kept(TunedModel model, TuningStates states, Listener listener) {
    OptionalInt looks = states.newest();
    if (looks.isEmpty()) {
      return Optional.empty();
    }
    Course.Numbers numbers = Course.numbers(looks.getAsInt());
    if (!states.load(looks.getAsInt(), model.states(numbers))) {
      model.restart();
      return Optional.empty();
    }
    model.show();
    Course course = numbers.course(tuning);
    listener.goesOn(course.step());
    return Optional.of(course);
  }

  /** The rate that was given, or the one that trials speak for. */
  private double rate(TunedModel model, Listener listener) {
    if (tuning.rate().isPresent()) {
      return tuning.rate().getAsDouble();
    }
    RateTrials trials = new RateTrials();
    for (double rate : Tuning.RATES) {
      Tuning trial = tuning.trial(rate);
      Course course = new Course(trial, rate);
      WindowOrder order = model.order();
      for (int step = 0; step < trial.steps(); step++) {
        model.step(order.next(Tuning.WINDOWS), course.stepSize(step));
      }
      double[] heldOut = model.heldOut();
      listener.tried(rate, trial.steps(), RateTrials.mean(heldOut));
      trials.add(rate, heldOut);
      model.restart();
    }
    return trials.chosen();
  }

  /** The first look, and what comes before the first step, which may be better or worse than it. */
  private void begin(TunedModel model, Course course, Listener listener) {
    TuningOutcome.Look quantized =
        new TuningOutcome.Look(0, Double.NaN, RateTrials.mean(model.heldOut()));
    int steps = tuning.stepsOfBlock();
    if (steps > 0) {
      long start = System.nanoTime();
      double left = model.tuneBlocks(steps);
      listener.tunedBlocks(steps, left, (System.nanoTime() - start) / 1e9);
    }
    course.add(quantized);
    listener.look(quantized);
  }

  private static void run(TunedModel model, Course course, TuningStates states, Listener listener) {
    int done = course.step();
    WindowOrder order = model.order();
    order.skip(done, Tuning.WINDOWS);
    double divergence = 0;
    while (!course.isOver(done)) {
      divergence += model.step(order.next(Tuning.WINDOWS), course.stepSize(done));
      done++;
      if (course.isLook(done)) {
        look(model, course, done, divergence / (done - course.step()), listener);
        divergence = 0;
        states.put(course.looks().size(), model.states(course.numbers()));
      }
    }
  }

  /** Looks at the held-out text, and keeps the state if none was better. */
  private static void look(
      TunedModel model, Course course, int step, double training, Listener listener) {
    TuningOutcome.Look look =
        new TuningOutcome.Look(step, training, RateTrials.mean(model.heldOut()));
    if (course.add(look)) {
      model.keep();
    }
    listener.look(look);
  }

  /** The bytes of tensors that a tuning takes, by one step on a rehearsal. */
  public static long bytes(
      Rehearsal rehearsal,
      DecoderSpec spec,
      WeightSource source,
      Tuning tuning,
      TuningText text,
      BorderPlace borders,
      IntFunction<Function<LinearSpec, Optional<KeptGrid>>> modules) {
    Tuning once =
        new Tuning(
            1,
            OptionalDouble.of(1),
            OptionalDouble.of(tuning.momentum(text)),
            tuning.written(),
            tuning.chats(),
            OptionalInt.of(Math.min(1, tuning.stepsOfBlock())));
    new Tuner(rehearsal, spec, source, once, text, borders)
        .run(modules, TuningStates.NONE, look -> {}, (block, tuned) -> {});
    return rehearsal.memory().peak();
  }
}
