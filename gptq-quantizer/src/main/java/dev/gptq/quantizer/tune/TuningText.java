package dev.gptq.quantizer.tune;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import java.util.List;

/**
 * The windows that a model is tuned with, all of one length.
 *
 * @param training those that gradients are taken of
 * @param heldOut those that tell when to stop
 * @param drawn how many copies of the former, with other words of the model's own, are read too:
 *     see {@link DrawnText}
 */
public record TuningText(ImmutableList<int[]> training, ImmutableList<int[]> heldOut, int drawn) {
  private static final int SHARE = 10;

  /** Held-out windows at most: each is run through the model again and again. */
  private static final int MOST_HELD_OUT = 64;

  /** Copies at most, and tokens of which there are copies at most, with them: what was tried. */
  private static final int MOST_DRAWN = 3;

  private static final long MOST_TOKENS = 1 << 20;

  /** Checks that there are some. */
  public TuningText {
    Preconditions.checkArgument(
        !training.isEmpty() && !heldOut.isEmpty(), "no windows to tune with");
  }

  /** Holds out every tenth window, and at least the last; of many windows as many as are enough. */
  public static TuningText of(List<int[]> windows) {
    Preconditions.checkArgument(
        windows.size() > 1, "tuning holds out a tenth of its windows and needs at least two");
    ImmutableList.Builder<int[]> training = ImmutableList.builder();
    ImmutableList.Builder<int[]> heldOut = ImmutableList.builder();
    int distance = Math.max(SHARE, Math.ceilDiv(windows.size(), MOST_HELD_OUT));
    for (int i = 0; i < windows.size(); i++) {
      boolean last = i + 1 == windows.size() && windows.size() < SHARE;
      (last || i % distance == distance - 1 ? heldOut : training).add(windows.get(i));
    }
    return new TuningText(training.build(), heldOut.build(), 0);
  }

  /** The same with copies in place of what a tuning would read again, where the text is short. */
  public TuningText drawnFor(Tuning tuning) {
    long readings = (long) tuning.steps() * Tuning.WINDOWS / training.size();
    long most = MOST_TOKENS / ((long) training.size() * length());
    long copies = Math.clamp(Math.min(readings, most) - 1, 0, MOST_DRAWN);
    return new TuningText(training, heldOut, Math.toIntExact(copies));
  }

  /** Windows with which none is taken twice. */
  public static int enough(Tuning tuning) {
    long training = (long) tuning.steps() * Tuning.WINDOWS;
    long heldOut = Math.min(MOST_HELD_OUT, training / (SHARE - 1) + 1);
    return (int) Math.min(Integer.MAX_VALUE, training + heldOut);
  }

  /** Windows that are read, copies too, before one is read again. */
  long read() {
    return (long) training.size() * (1 + drawn);
  }

  /** Tokens of all windows but copies. */
  public long tokens() {
    return (long) (training.size() + heldOut.size()) * length();
  }

  /** Tokens of a window. */
  int length() {
    return training.getFirst().length;
  }
}
