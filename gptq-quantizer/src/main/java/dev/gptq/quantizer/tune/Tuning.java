package dev.gptq.quantizer.tune;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * How a quantized model is tuned.
 *
 * @param steps at most; those that look for the rate come on top
 * @param rate by how much an offset moves in the first step, in codes; it falls to 0 with the
 *     steps. If empty, one of some that are tried for a few steps
 * @param momentum the share of the gradients before in what a step goes by, less than 1. If empty,
 *     {@link #momentum(TuningText)}
 * @param written windows that the model writes itself to be tuned with. If empty, {@link
 *     TuningText#writtenFor}
 * @param chats whether the windows that the model writes are conversations
 * @param blocks steps in which each block is tuned by itself before; 0 for none. If empty, a part
 *     of {@code steps}
 */
public record Tuning(
    int steps,
    OptionalDouble rate,
    OptionalDouble momentum,
    OptionalInt written,
    boolean chats,
    OptionalInt blocks) {
  /** Steps of {@code --quality max}. */
  public static final int USUAL_STEPS = 1000;

  /** What is tried where no rate is given; the first is taken unless another is clearly better. */
  public static final ImmutableList<Double> RATES = ImmutableList.of(0.003, 0.0015, 0.00075);

  /** Each is tried for this part of the steps. */
  private static final int TRIAL = 16;

  /** Of texts that are read less often than this many times. */
  private static final int MANY_READINGS = 4;

  private static final double USUAL_MOMENTUM = 0.9;

  /** What the factor of a scale moves by, as a share of what an offset does. */
  static final double SCALES = 0.1;

  /** Each block is tuned in this part of the steps. */
  private static final int BLOCK_STEPS = 5;

  /** Windows that a model is asked for at most. */
  private static final int MOST_WRITTEN = 1 << 16;

  /** Windows of a step. */
  public static final int WINDOWS = 8;

  /** How often the held-out text is looked at, at most. */
  private static final int LOOKS = 40;

  /** Looks without a gain after which the rate falls faster: a quarter of them. */
  static final int PATIENCE = LOOKS / 4;

  /** Checks the ranges. */
  public Tuning {
    Preconditions.checkArgument(steps > 0, "tuning takes at least 1 step, not %s", steps);
    rate.ifPresent(given ->
        Preconditions.checkArgument(
            given > 0 && given <= 1,
            "the rate of tuning is more than 0 and at most 1, not %s",
            given));
    momentum.ifPresent(given ->
        Preconditions.checkArgument(
            given >= 0 && given < 1,
            "the momentum of tuning is at least 0 and less than 1, not %s",
            given));
    written.ifPresent(given ->
        Preconditions.checkArgument(
            given >= 0 && given <= MOST_WRITTEN,
            "a model writes from 0 to %s windows, not %s",
            MOST_WRITTEN,
            given));
    blocks.ifPresent(given ->
        Preconditions.checkArgument(
            given >= 0, "blocks are tuned in 0 steps or more, not %s", given));
  }

  /** With what is usual of everything else. */
  private static Tuning of(int steps, OptionalDouble rate) {
    return new Tuning(
        steps, rate, OptionalDouble.empty(), OptionalInt.empty(), false, OptionalInt.empty());
  }

  /** At a rate that is to be found. */
  public static Tuning of(int steps) {
    return of(steps, OptionalDouble.empty());
  }

  /** At a given rate. */
  public static Tuning of(int steps, double rate) {
    return of(steps, OptionalDouble.of(rate));
  }

  /** The same with so many windows that the model writes. */
  public Tuning withWritten(int windows) {
    return new Tuning(steps, rate, momentum, OptionalInt.of(windows), chats, blocks);
  }

  /** The same with so many steps for each block before. */
  public Tuning withBlocks(int each) {
    return new Tuning(steps, rate, momentum, written, chats, OptionalInt.of(each));
  }

  /** The same with windows that are conversations where the model writes them. */
  public Tuning withChats() {
    return new Tuning(steps, rate, momentum, written, true, blocks);
  }

  /** Steps in which each block is tuned by itself. */
  public int stepsOfBlock() {
    return blocks.orElse(steps / BLOCK_STEPS);
  }

  /**
   * The momentum for a text: the one that was given, or {@value #USUAL_MOMENTUM} where the text is
   * read fewer than {@value #MANY_READINGS} times. A gradient of few windows is mostly noise, and
   * so is its sign; a mean of several finds what the text has to teach sooner, and a text that is
   * read again and again is learnt by heart sooner, too. What the model writes does not count: of
   * two bits a code, tuned with a momentum and mostly with that, some draws become worse for other
   * text.
   */
  public double momentum(TuningText text) {
    double readings = (double) steps * WINDOWS / text.training().size();
    return momentum.orElse(readings < MANY_READINGS ? USUAL_MOMENTUM : 0);
  }

  /** What a rate is tried with: a short tuning, whose rate falls to 0 as well. */
  Tuning trial(double rate) {
    return new Tuning(
        Math.ceilDiv(steps, TRIAL), OptionalDouble.of(rate), momentum, written, chats, blocks);
  }

  /** Steps from one look at the held-out text to the next. */
  int stepsOfLook() {
    return Math.ceilDiv(steps, LOOKS);
  }
}
